//! The memory of this process.

use std::fs;

use crate::{HEAP, float};

/// A point in time from which growth is counted.
pub(crate) struct Mark {
    heap: usize,
    resident: Option<f64>,
}

/// Peaks since a mark, in MB above what there was.
pub(crate) struct Growth {
    /// Bytes alive of Rust's allocator, exactly.
    pub(crate) heap: f64,
    /// Of the whole process, SQLite's C included, as Linux counts it in pages; `None` elsewhere.
    pub(crate) resident: Option<f64>,
}

impl Mark {
    pub(crate) fn now() -> Self {
        HEAP.reset_peak_usage();
        // The peak of the pages starts anew.
        let resident = fs::write("/proc/self/clear_refs", "5")
            .ok()
            .and_then(|()| status_mb("VmRSS:"));
        Self {
            heap: HEAP.current_usage(),
            resident,
        }
    }

    pub(crate) fn growth(&self) -> Growth {
        let heap = HEAP.peak_usage().saturating_sub(self.heap);
        let peak = status_mb("VmHWM:");
        Growth {
            heap: float(heap as u64) / 1e6,
            resident: self
                .resident
                .zip(peak)
                .map(|(before, peak)| (peak - before).max(0.0)),
        }
    }
}

fn status_mb(field: &str) -> Option<f64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix(field))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(float(kib) * 1_024.0 / 1e6)
}
