//! The host's codec under criterion.

use criterion::{Criterion, criterion_group, criterion_main};
use snakepit_benches::work::{VALUES, decode, encode, value};

fn codec(criterion: &mut Criterion) {
    for name in VALUES {
        let value = value(name);
        let payload = encode(&value);
        let mut group = criterion.benchmark_group(format!("codec/{name}"));
        group.bench_function("encode", |bencher| bencher.iter(|| encode(&value)));
        group.bench_function("decode", |bencher| bencher.iter(|| decode(&payload)));
        group.finish();
    }
}

criterion_group!(benches, codec);
criterion_main!(benches);
