//! Tests of the queue of a job.

use proptest::prelude::*;

use super::*;

#[test]
fn a_trigger_of_a_queued_scope_merges_into_its_run() {
    let mut queue = RunQueue::new();

    let first = queue.push(Scope::All, Trigger::Retry, Some(1), None);
    let second = queue.push(Scope::All, Trigger::Manual, Some(2), None);
    let third = queue.push(Scope::All, Trigger::Tick, None, None);

    assert!(first.is_ok());
    assert_eq!((second, third), (first, first));
    assert_eq!(
        drained(&mut queue),
        [queued(Scope::All, Trigger::Manual, vec![1, 2])]
    );
}

#[test]
fn runs_leave_first_in_first_out() {
    let mut queue = queue_of([Scope::user("b"), Scope::All, Scope::user("a")]);

    let _ = queue.push(Scope::user("b"), Trigger::Manual, None, None);

    assert_eq!(
        scopes(&mut queue),
        [Scope::user("b"), Scope::All, Scope::user("a")]
    );
}

#[test]
fn a_full_queue_returns_the_waiter() {
    let mut queue = queue_of((0..RunQueue::<u32>::MAX_SCOPES).map(Scope::user));

    let refused = queue.push(Scope::user("late"), Trigger::Manual, Some(7), None);

    assert_eq!(refused, Err(Some(7)));
    assert_eq!(queue.len(), RunQueue::<u32>::MAX_SCOPES);
    assert_eq!(queue.waiters(), 0);
}

#[test]
fn a_full_queue_still_takes_a_queued_scope_and_all_rows() {
    let mut queue = queue_of((0..RunQueue::<u32>::MAX_SCOPES).map(Scope::user));

    let waiting = queue.push(Scope::user(5), Trigger::Manual, Some(1), None);
    let everything = queue.push(Scope::All, Trigger::Tick, Some(2), None);

    assert!(waiting.is_ok() && everything.is_ok());
    assert_eq!(queue.waiters(), 2);
}

#[test]
fn the_last_place_is_usable() {
    let mut queue = queue_of((1..RunQueue::<u32>::MAX_SCOPES).map(Scope::user));

    let last = queue.push(Scope::user("last"), Trigger::Manual, Some(1), None);

    assert!(last.is_ok());
}

#[test]
fn a_returned_run_is_first_and_merges_later_triggers() {
    let mut queue = queue_of([Scope::user("a"), Scope::All]);
    let _ = queue.push(Scope::All, Trigger::Manual, Some(2), None);

    queue.push_front(queued(Scope::All, Trigger::Tick, vec![1]));

    assert_eq!(
        drained(&mut queue),
        [
            queued(Scope::All, Trigger::Manual, vec![1, 2]),
            queued(Scope::user("a"), Trigger::Tick, vec![])
        ]
    );
}

#[test]
fn an_id_that_a_caller_may_know_stays() {
    let mut queue = RunQueue::<u32>::new();
    let push = |queue: &mut RunQueue<u32>, trigger| {
        let run = queue.push(Scope::All, trigger, None, Some("anna".into()));
        run.expect("there is room")
    };
    push(&mut queue, Trigger::Tick);
    let tick = queue.pop().expect("the run of the tick");
    let first = push(&mut queue, Trigger::Manual);
    queue.push_front(tick);
    let requested = queue.pop().expect("the requested run");
    let second = push(&mut queue, Trigger::Manual);

    queue.push_front(requested);

    let place = |queue: &mut RunQueue<u32>, run| queue.find(run).map(|(before, _)| before);
    assert_eq!(place(&mut queue, first), Some(0));
    assert_eq!(place(&mut queue, second), Some(1));
    assert_eq!(place(&mut queue, RunId::fresh()), None);
    let names = queue.drain().into_iter().map(|run| run.requested_by);
    assert!(names.eq([vec!["anna".into()], vec!["anna".into()]]));
}

#[test]
fn requested_runs_stay_without_their_waiters() {
    let mut queue = RunQueue::new();
    let _ = queue.push(Scope::All, Trigger::Tick, None, None);
    for (user, waiter) in [("a", 1), ("b", 2), ("a", 3)] {
        let _ = queue.push(Scope::user(user), Trigger::Manual, Some(waiter), None);
    }

    queue.drop_waiters(|waiter| *waiter > 1);
    queue.keep_manual();

    assert_eq!(
        drained(&mut queue),
        [
            queued(Scope::user("a"), Trigger::Manual, vec![1]),
            queued(Scope::user("b"), Trigger::Manual, vec![])
        ]
    );
}

proptest! {
    #[test]
    fn every_waiter_leaves_once_with_its_scope_and_in_turn(
        steps in prop::collection::vec(step(), 0..200),
    ) {
        let mut queue = RunQueue::new();
        let mut model: Vec<QueuedRun<usize>> = Vec::new();
        let mut requested: Vec<(usize, Scope)> = Vec::new();
        let mut answered: Vec<(usize, Scope)> = Vec::new();

        for (waiter, step) in steps.into_iter().enumerate() {
            match step {
                Step::Push(scope, trigger, waits) => {
                    let waiter = waits.then_some(waiter);
                    requested.extend(waiter.map(|waiter| (waiter, scope.clone())));
                    put(&mut model, 0, scope.clone(), trigger, waiter);

                    let queued = queue.push(scope, trigger, waiter, None);

                    prop_assert!(queued.is_ok());
                }
                Step::Pop => {
                    let expected = (!model.is_empty()).then(|| model.remove(0));

                    let popped = queue.pop().map(without_id);

                    prop_assert_eq!(&popped, &expected);
                    answered.extend(popped.iter().flat_map(leaving));
                }
                Step::PopAndReturn(later) => {
                    let Some(run) = queue.pop() else { continue };
                    let scope = run.scope.clone();
                    if later {
                        requested.push((waiter, scope.clone()));
                        // Two requested runs stay apart.
                        let first = usize::from(run.trigger == Trigger::Manual);
                        put(&mut model, first, scope.clone(), Trigger::Manual, Some(waiter));
                        let _ = queue.push(scope, Trigger::Manual, Some(waiter), None);
                    }

                    queue.push_front(run);
                }
            }
            let waiting: usize = model.iter().map(|run| run.waiters.len()).sum();
            prop_assert_eq!(queue.len(), model.len());
            prop_assert_eq!(queue.is_empty(), model.is_empty());
            prop_assert_eq!(queue.waiters(), waiting);
        }
        let rest = drained(&mut queue);
        prop_assert_eq!(&rest, &model);
        prop_assert!(queue.is_empty());
        answered.extend(rest.iter().flat_map(leaving));
        answered.sort();
        prop_assert_eq!(answered, requested);
    }
}

#[derive(Debug, Clone)]
enum Step {
    Push(Scope, Trigger, bool),
    Pop,
    /// Pops a run and returns it, perhaps after its scope was requested again.
    PopAndReturn(bool),
}

fn step() -> impl Strategy<Value = Step> {
    let scope = prop_oneof![Just(Scope::All), (0..4_u8).prop_map(Scope::user),];
    let trigger = prop::sample::select(vec![Trigger::Retry, Trigger::Tick, Trigger::Manual]);
    prop_oneof![
        3 => (scope, trigger, any::<bool>()).prop_map(|(scope, trigger, waits)| Step::Push(scope, trigger, waits)),
        1 => Just(Step::Pop),
        1 => any::<bool>().prop_map(Step::PopAndReturn),
    ]
}

fn put(
    model: &mut Vec<QueuedRun<usize>>,
    first: usize,
    scope: Scope,
    trigger: Trigger,
    waiter: Option<usize>,
) {
    let waiters: Vec<usize> = waiter.into_iter().collect();
    match model[first..].iter_mut().find(|run| run.scope == scope) {
        Some(run) => {
            run.trigger = run.trigger.max(trigger);
            run.waiters.extend(waiters);
        }
        None => model.push(queued(scope, trigger, waiters)),
    }
}

fn leaving(run: &QueuedRun<usize>) -> Vec<(usize, Scope)> {
    run.waiters
        .iter()
        .map(|waiter| (*waiter, run.scope.clone()))
        .collect()
}

fn queued<W>(scope: Scope, trigger: Trigger, waiters: Vec<W>) -> QueuedRun<W> {
    without_id(QueuedRun {
        run: RunId::fresh(),
        scope,
        trigger,
        requested_by: Vec::new(),
        waiters,
    })
}

fn without_id<W>(run: QueuedRun<W>) -> QueuedRun<W> {
    let run_id = uuid::Uuid::nil().to_string().parse();
    QueuedRun {
        run: run_id.expect("is an id"),
        ..run
    }
}

fn drained<W>(queue: &mut RunQueue<W>) -> Vec<QueuedRun<W>> {
    queue.drain().into_iter().map(without_id).collect()
}

fn queue_of(scopes: impl IntoIterator<Item = Scope>) -> RunQueue<u32> {
    let mut queue = RunQueue::new();
    for scope in scopes {
        queue
            .push(scope, Trigger::Tick, None, None)
            .expect("there is room");
    }
    queue
}

fn scopes(queue: &mut RunQueue<u32>) -> Vec<Scope> {
    std::iter::from_fn(|| queue.pop())
        .map(|run| run.scope)
        .collect()
}
