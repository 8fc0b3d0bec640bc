//! The cube pass on synthetic, OULAD-like facts: 30 000 students, 20 spaces, 6 000 lectures, 10 million interactions over
//! 270 days. Plain timing (a criterion sample of seconds says no more), medians of the runs.
//!
//! `cargo bench -p empatia-engine --bench cube [-- ROWS THREADS RUNS]`, default 10000000 4 5.

use std::time::Instant;

use empatia_engine::calendar::{DateRange, Grain};
use empatia_engine::context::Context;
use empatia_engine::cube::{
    Combinations, CubeBatch, CubeBuilder, CubeParams, CubeStream, CubeSummary, Interaction, InteractionKind, Level,
    Members, Path,
};
use empatia_engine::error::EngineError;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

const USERS: u32 = 30_000;
const SPACES: u32 = 20;
const LECTURES_PER_SPACE: u32 = 300;
const DAYS: u32 = 270;

/// A fact before its path is spelled out, as a reader would have it.
#[derive(Clone, Copy)]
struct Raw {
    user: u32,
    lecture: u32,
    day: u16,
    kind: u8,
    amount: u16,
}

/// The student's space: one each, and a second one for every fifth student.
fn space_of(user: u32, second: bool) -> u32 {
    let spread = user.wrapping_mul(2_654_435_761) >> 8;
    (spread + u32::from(second && user.is_multiple_of(5)) * 7) % SPACES
}

fn generate(rows: usize) -> Vec<Raw> {
    let mut rng = Xoshiro256PlusPlus::seed_from_u64(2024);
    (0..rows)
        .map(|_| {
            // the minimum of two draws: few students do much, most do little
            let user = rng.gen_range(0..USERS).min(rng.gen_range(0..USERS));
            let space = space_of(user, rng.gen());
            // students come on some days only, each on their own
            let slot = rng.gen_range(0..90) * 3;
            let day = (slot + user % 3 + rng.gen_range(0..2)) % DAYS;
            let near = (day * LECTURES_PER_SPACE / DAYS + rng.gen_range(0..40)) % LECTURES_PER_SPACE;
            Raw {
                user,
                lecture: space * LECTURES_PER_SPACE + near,
                day: day as u16,
                kind: if rng.gen_bool(0.9) { 4 } else { rng.gen_range(0..4) },
                amount: rng.gen_range(1..12),
            }
        })
        .collect()
}

fn interaction(raw: &Raw) -> Interaction {
    let lecture = i64::from(raw.lecture);
    let space = lecture / i64::from(LECTURES_PER_SPACE);
    Interaction {
        user: 100_000 + i64::from(raw.user),
        path: Path::new([
            Some(1),
            Some(10 + space / 3),
            Some(500 + space),
            Some(9_000 + lecture / 30),
            Some(70_000 + lecture),
        ]),
        day: 8_000 + i32::from(raw.day),
        kind: InteractionKind::ALL[usize::from(raw.kind)],
        amount: i64::from(raw.amount),
    }
}

/// Wall and CPU seconds; on a shared machine only the second is the program's own.
#[derive(Clone, Copy, Default)]
struct Seconds {
    wall: f64,
    cpu: f64,
}

struct Stopwatch {
    start: Instant,
    cpu: f64,
}

impl Stopwatch {
    fn start() -> Self {
        Self {
            start: Instant::now(),
            cpu: cpu_seconds(),
        }
    }

    fn stop(&self) -> Seconds {
        Seconds {
            wall: self.start.elapsed().as_secs_f64(),
            cpu: cpu_seconds() - self.cpu,
        }
    }
}

/// CPU seconds of all threads of this process (Linux; 0 elsewhere).
fn cpu_seconds() -> f64 {
    let Ok(threads) = std::fs::read_dir("/proc/self/task") else {
        return 0.0;
    };
    let nanoseconds = |path: std::path::PathBuf| -> Option<f64> {
        let text = std::fs::read_to_string(path.join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse().ok()
    };
    threads
        .flatten()
        .filter_map(|thread| nanoseconds(thread.path()))
        .sum::<f64>()
        / 1e9
}

struct Timing {
    push: Seconds,
    finish: Seconds,
    summary: CubeSummary,
}

fn members(ctx: &Context) -> Result<Members, EngineError> {
    let pairs = (0..USERS).flat_map(|user| {
        [false, true].map(|second| (500 + i64::from(space_of(user, second)), 100_000 + i64::from(user)))
    });
    Members::from_pairs(ctx, pairs)
}

/// What a sink has to do at least: read the cells.
fn touch(sum: &mut i64, batch: CubeBatch<'_>) {
    if let CubeBatch::Cells { cells, .. } = batch {
        *sum += cells.iter().map(|cell| cell.measures.amounts[4]).sum::<i64>();
    }
}

fn in_memory(ctx: &Context, params: CubeParams, raw: &[Raw]) -> Result<Timing, EngineError> {
    let members = members(ctx)?;
    let start = Stopwatch::start();
    let mut builder = CubeBuilder::new(ctx, params.check(ctx)?)?;
    for fact in raw {
        builder.push_interaction(&interaction(fact))?;
    }
    let push = start.stop();
    let start = Stopwatch::start();
    let mut sum = 0;
    let summary = builder.finish(&members, |batch| {
        touch(&mut sum, batch);
        Ok::<(), EngineError>(())
    })?;
    std::hint::black_box(sum);
    let finish = start.stop();
    Ok(Timing { push, finish, summary })
}

fn streaming(ctx: &Context, params: CubeParams, sorted: &[Raw]) -> Result<Timing, EngineError> {
    let members = members(ctx)?;
    let start = Stopwatch::start();
    let mut sum = 0;
    let mut stream = CubeStream::new(ctx, params.check(ctx)?, &members, |batch| {
        touch(&mut sum, batch);
        Ok::<(), EngineError>(())
    })?;
    for fact in sorted {
        stream.push_interaction(&interaction(fact))?;
    }
    let summary = stream.finish()?;
    std::hint::black_box(sum);
    let finish = start.stop();
    Ok(Timing {
        push: Seconds::default(),
        finish,
        summary,
    })
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

fn report(name: &str, runs: usize, run: impl Fn() -> Result<Timing, EngineError>) {
    let timings: Vec<Timing> = match (0..runs).map(|_| run()).collect() {
        Ok(timings) => timings,
        Err(error) => return println!("{name:<34} failed: {error}"),
    };
    let of = |seconds: fn(&Timing) -> f64| median(timings.iter().map(seconds).collect());
    println!(
        "{name:<24} push {:.3} s (cpu {:.3}), cells {:.3} s (cpu {:.3}), {} cells",
        of(|t| t.push.wall),
        of(|t| t.push.cpu),
        of(|t| t.finish.wall),
        of(|t| t.finish.cpu),
        timings[0].summary.total_cells(),
    );
}

fn main() -> Result<(), EngineError> {
    // cargo passes --bench
    let mut numbers = std::env::args().skip(1).filter_map(|arg| arg.parse::<usize>().ok());
    let rows = numbers.next().unwrap_or(10_000_000);
    let threads = numbers.next().unwrap_or(4);
    let runs = numbers.next().unwrap_or(5).max(1);
    let ctx = Context::builder().threads(threads).memory_budget(1 << 30).build()?;
    let mut raw = generate(rows);
    println!("{rows} interactions, {threads} threads, medians of {runs}");
    let all = CubeParams::new(DateRange::new(8_000, 8_000 + DAYS as i32 - 1)?);
    let one = CubeParams {
        combinations: Combinations::none().with(Level::Lecture, Grain::Week),
        ..all
    };
    report("in memory, LEC x WEEK", runs, || in_memory(&ctx, one, &raw));
    report("in memory, all 35", runs, || in_memory(&ctx, all, &raw));
    // the stream's memory is a chunk's, whatever the number of rows
    drop(ctx);
    let ctx = Context::builder().threads(threads).memory_budget(256 << 20).build()?;
    raw.sort_by_key(|fact| fact.user);
    report("stream, LEC x WEEK", runs, || streaming(&ctx, one, &raw));
    report("stream, all 35", runs, || streaming(&ctx, all, &raw));
    Ok(())
}
