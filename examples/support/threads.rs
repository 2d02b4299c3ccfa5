//! Work shared out among the machine's cores.

use std::thread;

/// Less work than this many multiply-adds is done before another thread has begun.
const WORTH_A_THREAD: usize = 1 << 18;

/// Cuts `out` into as many runs of whole rows of `width` as there are cores and calls `work` on each, with the number of its
/// first row. `cost` is that of one row in multiply-adds.
pub fn for_rows(out: &mut [f32], width: usize, cost: usize, work: impl Fn(usize, &mut [f32]) + Sync) {
    let rows = out.len() / width.max(1);
    let cores = thread::available_parallelism().map_or(1, |cores| cores.get());
    let threads = cores.min(rows * cost / WORTH_A_THREAD).max(1);
    let each = rows.div_ceil(threads).max(1);
    thread::scope(|scope| {
        let mut parts = out.chunks_mut(each * width.max(1)).enumerate();
        let own = parts.next();
        for (i, part) in parts {
            let work = &work;
            scope.spawn(move || work(i * each, part));
        }
        if let Some((_, part)) = own {
            work(0, part);
        }
    });
}
