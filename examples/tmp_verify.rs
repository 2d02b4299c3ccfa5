fn main() {
    let gpu = ffwd::Gpu::open(&ffwd::gpu::Selection::default()).unwrap();
    println!("{:?}", gpu.info());
    let filter = std::env::args().nth(1).unwrap_or_default();
    for case in ffwd::verify::cases() {
        if !case.function.name().contains(&filter) {
            continue;
        }
        for row in case.measure(&gpu).unwrap() {
            println!(
                "{:28} {:6} {:5} {:8.4} / {:5.2} {:6} {}",
                row.name,
                row.output,
                row.element,
                row.ulp,
                row.allowed,
                row.breaches,
                if row.passed() { String::new() } else { format!("FAIL at {:?}", row.at) }
            );
        }
    }
}
