//! The scheduler under criterion.

use criterion::{Criterion, criterion_group, criterion_main};
use snakepit_benches::work::{CROWDS, Crowd};

fn scheduler(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("scheduler");
    for (workers, waiting) in CROWDS {
        let mut crowd = Crowd::new(workers, waiting);
        let name = format!("acquire and release, workers: {workers}, waiting: {waiting}");
        group.bench_function(name, |bencher| bencher.iter(|| crowd.turn()));
    }
    group.finish();
}

criterion_group!(benches, scheduler);
criterion_main!(benches);
