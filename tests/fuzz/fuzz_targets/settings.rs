#![no_main]

#[path = "../../surface/validation/drive.rs"]
#[expect(dead_code, reason = "the other target's half")]
mod drive;

libfuzzer_sys::fuzz_target!(|text: &str| {
    let _ = drive::settings(text);
});
