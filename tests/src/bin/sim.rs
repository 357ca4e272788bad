//! tmp
fn main() {
    let args: Vec<u64> = std::env::args().skip(1).map(|a| a.parse().unwrap()).collect();
    std::panic::set_hook(Box::new(|_| {}));
    let start = std::time::Instant::now();
    if args.len() == 1 {
        if let Err(f) = mqtt_tests::sim::swarm::run(args[0]) {
            let f = mqtt_tests::sim::shrink::shorten(&f);
            println!("{:?}", f.setup);
            println!("{}", mqtt_tests::sim::shrink::narrate(&f));
        }
        return;
    }
    let (mut events, mut bad) = (0usize, 0);
    let mut kinds = std::collections::BTreeMap::new();
    for seed in args[0]..args[0] + args[1] {
        match mqtt_tests::sim::swarm::run(seed) {
            Ok(n) => events += n,
            Err(f) => {
                bad += 1;
                let key = format!(
                    "{:?} {}",
                    f.fault.invariant,
                    f.fault
                        .what
                        .chars()
                        .filter(|c| !c.is_ascii_digit())
                        .take(50)
                        .collect::<String>()
                );
                let e = kinds.entry(key).or_insert((0, seed, f.events.len(), f.fault.what.clone()));
                e.0 += 1;
                if f.events.len() < e.2 {
                    *e = (e.0, seed, f.events.len(), f.fault.what.clone());
                }
            }
        }
    }
    for (k, v) in &kinds {
        println!("{} seed {} events {} :: {k} :: {}", v.0, v.1, v.2, &v.3[..v.3.len().min(400)]);
    }
    println!("{events} events, {bad} bad, {:?}", start.elapsed());
}
