//! Reloads: VMs that race take one new policy after another, not all at the same request.
//!
//! **Invariant:** what the reference says is kept is kept: a limit that a new policy has unchanged admits its quota once, whatever else
//! changes. A limit that starts afresh admits its quota once for each time it does, and never more.

use crate::race::Race;
use crate::world::{Asked, Random};
use crate::{Chosen, Row};

const SUITE: &str = "reload";
const SEEDS: u64 = 100;
const WINDOW_MS: u64 = 600_000;

type Case = (&'static str, fn(u64) -> Row);

pub(crate) fn rows(chosen: &Chosen) -> Vec<Row> {
    let cases: [Case; 5] = [
        ("others-change", others_change),
        ("quota-changes", quota_changes),
        ("window-changes", window_changes),
        ("limit-returns", limit_returns),
        ("table-resized", table_resized),
    ];
    let seeds = if chosen.long { 10 * SEEDS } else { SEEDS };
    let mut rows = Vec::new();
    for (case, run) in cases {
        rows.extend(chosen.runs(SUITE, case, seeds, run));
    }
    rows
}

/// A race of `demand` requests of one client through these policies.
fn play(case: &str, seed: u64, policies: Vec<String>, demand: u64, random: &mut Random) -> Row {
    let race = Race {
        policies,
        requests: vec![Asked::get(7); usize::try_from(demand).unwrap()],
        step_ms: random.below(3),
    };
    let came = race.run(random);
    let mut row = Row::new(SUITE, case, "engine", seed);
    came.fill(&mut row, WINDOW_MS);
    row
}

fn limit(name: &str, quota: u64) -> String {
    format!("  - {{ name: {name}, key: [client], quota: {quota}/10m }}\n")
}

/// Limits are added, removed, renamed, put in another order around one that stays as it is.
fn others_change(seed: u64) -> Row {
    let mut random = Random::new(seed);
    let quota = random.within(1, 150);
    let mut policies = Vec::new();
    for _ in 0..random.within(2, 6) {
        let mut limits = vec![limit("kept", quota)];
        for _ in 0..random.below(4) {
            let name = ["b", "c", "d", "e"][usize::try_from(random.below(4)).unwrap()];
            let other = limit(name, quota + random.within(100, 400));
            if !limits
                .iter()
                .any(|held| held.contains(&format!("name: {name},")))
            {
                let at = usize::try_from(random.below(2)).unwrap();
                limits.insert(at.min(limits.len()), other);
            }
        }
        policies.push(format!("limits:\n{}", limits.concat()));
    }
    let demand = 2 * quota + 20;
    let mut row = play("others-change", seed, policies, demand, &mut random);
    (row.quota, row.bound, row.least) = (quota, quota, quota);
    row
}

/// Another quota judges what was charged before by the new number: the largest at most, the last one at least.
fn quota_changes(seed: u64) -> Row {
    let mut random = Random::new(seed);
    let most = [60, 100, 200][usize::try_from(random.below(3)).unwrap()];
    let quotas: Vec<u64> = (0..random.within(2, 4))
        .map(|_| random.within(1, most))
        .collect();
    let policies = quotas
        .iter()
        .map(|quota| format!("limits:\n{}", limit("a", *quota)))
        .collect();
    let largest = quotas.iter().copied().max().unwrap();
    let demand = (largest + 20) * u64::try_from(quotas.len()).unwrap();
    let mut row = play("quota-changes", seed, policies, demand, &mut random);
    (row.quota, row.bound) = (quotas.last().copied().unwrap(), largest);
    row.least = row.quota;
    row
}

/// Another window counts afresh: the quota once for each at most.
fn window_changes(seed: u64) -> Row {
    let mut random = Random::new(seed);
    let quota = random.within(1, 60);
    let mut windows: Vec<u64> = (0..random.within(2, 4))
        .map(|_| random.within(10, 13))
        .collect();
    let policies = windows
        .iter()
        .map(|minutes| format!("limits: [{{ name: a, key: [client], quota: {quota}/{minutes}m }}]"))
        .collect();
    let demand = (quota + 20) * u64::try_from(windows.len()).unwrap();
    let mut row = play("window-changes", seed, policies, demand, &mut random);
    windows.sort_unstable();
    windows.dedup();
    let fresh = u64::try_from(windows.len()).unwrap();
    (row.quota, row.bound, row.least) = (quota, quota * fresh, quota);
    row
}

/// Gone in one policy, back in the next: its counts are still there.
fn limit_returns(seed: u64) -> Row {
    let mut random = Random::new(seed);
    let quota = random.within(1, 60);
    let other = quota + 300;
    let policies = vec![
        format!("limits:\n{}{}", limit("a", quota), limit("b", other)),
        format!("limits:\n{}", limit("b", other)),
        format!("limits:\n{}{}", limit("b", other), limit("a", quota)),
    ];
    // Without the limit nobody counts by it: only the first and the last third are held to it.
    let demand = 3 * (quota + 20);
    let mut row = play("limit-returns", seed, policies, demand, &mut random);
    let between = row.demand / 3 + 6;
    (row.quota, row.bound, row.least) = (quota, quota + between, quota);
    row
}

/// Another number of sets starts all counts afresh; the same number, however it is written, keeps them.
fn table_resized(seed: u64) -> Row {
    let mut random = Random::new(seed);
    let quota = random.within(1, 60);
    let sizes: Vec<u64> = (0..random.within(2, 4))
        .map(|_| 1 << random.within(6, 9))
        .collect();
    let policies = sizes
        .iter()
        .map(|size| {
            format!(
                "table: {{ clients: {size} }}\nlimits:\n{}",
                limit("a", quota)
            )
        })
        .collect();
    let mut distinct = sizes.clone();
    distinct.sort_unstable();
    distinct.dedup();
    let tables = u64::try_from(distinct.len()).unwrap();
    let demand = 3 * quota * u64::try_from(sizes.len()).unwrap() + 60;
    let mut row = play("table-resized", seed, policies, demand, &mut random);
    // A client's key is in one set of each table; two tables may share the set's name.
    (row.quota, row.bound, row.least) = (quota, quota * tables, quota);
    row
}
