//! Races: VMs over one store, interleaved by a seed at each load and swap, some of their swaps lost.
//!
//! **Invariant:** on one key as many are admitted as the quota says while demand lasts, and no window holds more, by brute force
//! over the times of all admissions. A time is the one the VM read when its request came, and no earlier than the one before it in
//! the order of the swaps: so the table takes it.

use std::sync::{Mutex, PoisonError};

use palisade_engine::engine::{Engine, Memory};
use palisade_engine::env::{MemoryStore, Worker};

use palisade_engine::verdict::Reason;
use serde_json::json;

use crate::kinds::{Kind, Limit};
use crate::world::{self, Asked, Decision, Random, Shared, Turns, ask, environment};
use crate::{Chosen, Row};

const SUITE: &str = "race";

/// Seeds of the cases about one key, and of the others; ten times as many in the long setting.
const SEEDS: u64 = 1_000;
const FEWER: u64 = 250;

type Case = (&'static str, u64, fn(u64) -> Row);

pub(crate) fn rows(chosen: &Chosen) -> Vec<Row> {
    let cases: [Case; 8] = [
        ("small-quota", SEEDS, |seed| {
            standing("small-quota", Kind::Sliding, seed, 1, 128)
        }),
        ("large-quota", FEWER, |seed| {
            standing("large-quota", Kind::Sliding, seed, 129, 200)
        }),
        ("token-bucket", FEWER, |seed| {
            standing("token-bucket", Kind::Bucket, seed, 1, 200)
        }),
        ("fixed-window", FEWER, |seed| {
            standing("fixed-window", Kind::Fixed, seed, 1, 200)
        }),
        ("many-windows", FEWER, many_windows),
        ("two-keys", FEWER, two_keys),
        ("wrong-passwords", FEWER, wrong_passwords),
        ("bans", FEWER, bans),
    ];
    let mut rows = Vec::new();
    for (case, seeds, run) in cases {
        let seeds = if chosen.long { 10 * seeds } else { seeds };
        rows.extend(chosen.runs(SUITE, case, seeds, run));
    }
    rows
}

/// What a race is about.
pub(crate) struct Race {
    /// One after another, each for an equal share of the traffic; VMs take a new one a few requests apart.
    pub(crate) policies: Vec<String>,
    pub(crate) requests: Vec<Asked>,
    /// Time passes before each request by up to twice this, in all VMs alike.
    pub(crate) step_ms: u64,
}

/// What came of it.
pub(crate) struct Came {
    /// Times of admitted requests, ascending, with their place in the traffic.
    pub(crate) admitted: Vec<(u64, usize)>,
    /// Times of all requests, in the order of their decisions.
    pub(crate) demand: Vec<u64>,
    pub(crate) vms: usize,
    switches: u64,
    pub(crate) end_ms: u64,
    /// Refused for another reason than the limit, or not banned after others were told that the client is.
    odd: Option<String>,
    /// Requests that came before the first of them was told so; all: nobody was.
    banned_from: usize,
    pub(crate) engine: Engine,
    pub(crate) store: MemoryStore,
    /// What the VMs hold at the end.
    pub(crate) workers: Vec<Worker>,
}

/// How often a VM returns leases that are over.
const TICK_MS: u64 = 500;

/// VMs take a new policy within so many requests of each other.
const RELOAD_SPREAD: u64 = 6;

impl Came {
    pub(crate) fn times(&self) -> Vec<u64> {
        self.admitted.iter().map(|(time, _)| *time).collect()
    }

    pub(crate) fn fill(&self, row: &mut Row, window: u64) {
        row.demand = u64::try_from(self.demand.len()).unwrap();
        row.admitted = u64::try_from(self.admitted.len()).unwrap();
        row.worst = world::worst(&self.times(), window);
        row.wrong.clone_from(&self.odd);
        row.more = json!({ "vms": self.vms, "switches": self.switches });
    }
}

/// What VMs write down.
#[derive(Default)]
struct Ledger {
    next: usize,
    now: u64,
    newest: u64,
    admitted: Vec<(u64, usize)>,
    demand: Vec<u64>,
    odd: Option<String>,
    banned_from: Option<usize>,
}

impl Race {
    pub(crate) fn run(&self, random: &mut Random) -> Came {
        let vms = usize::try_from(random.within(2, 6)).unwrap();
        let turns = Turns::new(vms, Random::new(random.next()));
        let lose = [0, 0, 16, 96][usize::try_from(random.below(4)).unwrap()];
        let mut engines: Vec<Engine> = self
            .policies
            .iter()
            .map(|policy| world::engine(policy))
            .collect();
        let store = Mutex::new(MemoryStore::default());
        let ledger = Mutex::new(Ledger {
            now: random.below(1 << 40),
            ..Ledger::default()
        });
        let steps = Mutex::new(Random::new(random.next()));
        let workers = Mutex::new(Vec::new());
        std::thread::scope(|scope| {
            for me in 0..vms {
                let (turns, engines, store, ledger, steps, workers) =
                    (&turns, &engines, &store, &ledger, &steps, &workers);
                let behind = usize::try_from(random.below(RELOAD_SPREAD)).unwrap();
                let mut shared = Shared {
                    store,
                    turns,
                    me,
                    worker: Worker::default(),
                    random: Random::new(random.next()),
                    lose,
                };
                scope.spawn(move || {
                    let _turn = turns.join(me);
                    let mut memories: Vec<Memory> = engines.iter().map(Engine::memory).collect();
                    let mut ticked = 0;
                    loop {
                        turns.point(me);
                        let (number, now) = {
                            let mut ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
                            if ledger.next == self.requests.len() {
                                break;
                            }
                            let mut steps = steps.lock().unwrap_or_else(PoisonError::into_inner);
                            ledger.now += steps.below(2 * self.step_ms + 1);
                            ledger.next += 1;
                            (ledger.next - 1, ledger.now)
                        };
                        let asked = &self.requests[number];
                        let version =
                            number.saturating_sub(behind) * engines.len() / self.requests.len();
                        let (engine, memory) = (&engines[version], &mut memories[version]);
                        if now / TICK_MS != ticked {
                            ticked = now / TICK_MS;
                            engine.return_leases(&mut environment(&mut shared, now));
                        }
                        let decision = ask(engine, memory, &mut shared, now, asked);
                        {
                            // Nobody else ran since the decision's last look at the store.
                            let mut ledger = ledger.lock().unwrap_or_else(PoisonError::into_inner);
                            let at = now.max(ledger.newest);
                            ledger.demand.push(at);
                            if decision.admitted() {
                                ledger.newest = at;
                                ledger.admitted.push((at, number));
                            }
                            let banned = matches!(decision, Decision::Refused(Reason::Banned));
                            if let Decision::Refused(reason) = decision
                                && reason != Reason::RateLimited
                                && !banned
                            {
                                ledger.odd = Some(format!("request {number}: {reason:?}"));
                            }
                            // Bans here outlast the race: who comes after one has begun is stopped, in every VM.
                            if banned {
                                let next = ledger.next;
                                ledger.banned_from.get_or_insert(next);
                            } else if ledger.banned_from.is_some_and(|from| number >= from) {
                                ledger.odd = Some(format!("request {number}: not banned"));
                            }
                        }
                        if let Decision::Admitted(Some(charges)) = decision {
                            let mut env = environment(&mut shared, now);
                            engine.settle(&charges, asked.status, &mut env);
                        }
                    }
                    let mut workers = workers.lock().unwrap_or_else(PoisonError::into_inner);
                    workers.push(shared.worker);
                });
            }
        });
        let switches = turns.switches();
        let ledger = ledger.into_inner().unwrap_or_else(PoisonError::into_inner);
        Came {
            admitted: ledger.admitted,
            demand: ledger.demand,
            vms,
            switches,
            end_ms: ledger.now,
            odd: ledger.odd,
            banned_from: ledger.banned_from.unwrap_or(self.requests.len()),
            engine: engines.pop().unwrap(),
            store: store.into_inner().unwrap_or_else(PoisonError::into_inner),
            workers: workers.into_inner().unwrap_or_else(PoisonError::into_inner),
        }
    }
}

/// All at once, or within a small part of the window: exactly what may come at once.
fn standing(case: &str, kind: Kind, seed: u64, least: u64, most: u64) -> Row {
    let mut random = Random::new(seed);
    let limit = Limit {
        kind,
        quota: random.within(least, most),
        window_ms: 600_000,
        burst: random.within(1, 60),
        lease: 0,
    };
    let at_once = limit.at_once();
    let race = Race {
        policies: vec![limit.policy()],
        requests: vec![Asked::get(7); usize::try_from(at_once + at_once / 2 + 10).unwrap()],
        // A bucket is refilled and an aligned window ends whenever time passes.
        step_ms: if kind == Kind::Sliding {
            random.below(3)
        } else {
            0
        },
    };
    let came = race.run(&mut random);
    let mut row = Row::new(SUITE, case, "engine", seed);
    row.algorithm = kind.name();
    came.fill(&mut row, limit.window_ms);
    (row.quota, row.bound, row.least) = (limit.quota, at_once, at_once);
    row
}

/// Demand that lasts many windows, in bursts.
fn many_windows(seed: u64) -> Row {
    let mut random = Random::new(seed);
    let kind = Kind::any(&mut random);
    let quota = if random.chance(64) {
        random.within(129, 150)
    } else {
        random.within(1, 30)
    };
    let window_ms = [1_000_u64, 1_500, 7_777][usize::try_from(random.below(3)).unwrap()];
    let limit = Limit {
        kind,
        quota,
        window_ms,
        burst: random.within(1, 30),
        lease: 0,
    };
    let race = Race {
        policies: vec![limit.policy()],
        requests: vec![Asked::get(7); 400],
        step_ms: random.within(1, window_ms / quota + 1),
    };
    let came = race.run(&mut random);
    let mut row = Row::new(SUITE, "many-windows", "engine", seed);
    row.algorithm = kind.name();
    came.fill(&mut row, window_ms);
    (row.quota, row.bound) = (quota, limit.bound());
    row.least = limit.least(&came.demand);
    row.wrong = row.wrong.or_else(|| limit.breaks_alignment(&came.times()));
    row
}

/// Two limits by unlike keys: charged in order, given back when the second refuses.
fn two_keys(seed: u64) -> Row {
    let mut random = Random::new(seed);
    let strict = random.within(1, 40);
    let wide = strict + random.below(4);
    let (first, second) = if random.chance(128) {
        (wide, strict)
    } else {
        (strict, wide)
    };
    let mut asked = Asked::get(7);
    asked.header = Some(("x-plan", "free".to_owned()));
    let race = Race {
        policies: vec![format!(
            "limits:\n  - {{ name: a, key: [client], quota: {first}/10m }}\n  - {{ name: b, key: [{{ header: x-plan }}], quota: \
             {second}/10m }}"
        )],
        requests: vec![asked; 160],
        step_ms: random.below(3),
    };
    let came = race.run(&mut random);
    let mut row = Row::new(SUITE, "two-keys", "engine", seed);
    came.fill(&mut row, 600_000);
    // Requests in flight may hold places of the first while the second refuses them; demand outlasts them.
    (row.quota, row.bound, row.least) = (strict, strict, strict);
    row
}

/// Excesses begin a ban, which stops its client in every VM from the moment that anybody is told of it, also over reloads that
/// change other limits and the quota.
fn bans(seed: u64) -> Row {
    let mut random = Random::new(seed);
    let (quota, after) = (random.within(1, 40), random.within(1, 6));
    let limit = |quota: u64| {
        format!(
            "  - {{ name: a, key: [client], quota: {quota}/10m, penalty: {{ after: {after}, ban: 2h }} }}\n"
        )
    };
    let other = "  - { name: b, key: [client], quota: 1000/10m }\n";
    let policies = match random.below(3) {
        0 => vec![format!("limits:\n{}", limit(quota))],
        1 => vec![
            format!("limits:\n{}", limit(quota)),
            format!("limits:\n{other}{}", limit(quota)),
            format!("limits:\n{}", limit(quota)),
        ],
        // Once the ban stands nobody is admitted by a larger quota either.
        _ => vec![
            format!("limits:\n{}", limit(quota)),
            format!("limits:\n{}{other}", limit(quota + 500)),
        ],
    };
    let demand = policies.len() * usize::try_from(2 * (quota + after) + 20).unwrap();
    let race = Race {
        policies,
        requests: vec![Asked::get(7); demand],
        step_ms: random.below(3),
    };
    let came = race.run(&mut random);
    let mut row = Row::new(SUITE, "bans", "engine", seed);
    came.fill(&mut row, 7_200_000);
    if row.wrong.is_none() && came.banned_from == demand {
        row.wrong = Some("nobody was banned".to_owned());
    }
    (row.quota, row.bound, row.least) = (quota, quota, quota);
    row
}

/// Counted by the response's status: right ones give their place back, wrong ones never reach the upstream beyond the quota.
fn wrong_passwords(seed: u64) -> Row {
    let mut random = Random::new(seed);
    let quota = random.within(1, 12);
    let mut requests = Vec::new();
    for _ in 0..random.within(60, 120) {
        let mut asked = Asked::get(7);
        asked.status = if random.chance(96) { 401 } else { 200 };
        requests.push(asked);
    }
    let race = Race {
        policies: vec![format!(
            "limits: [{{ name: login, key: [client], quota: {quota}/1h, count: {{ status: [401, 403] }} }}]"
        )],
        requests,
        step_ms: random.below(3),
    };
    let mut came = race.run(&mut random);
    let is_wrong = |number: usize| race.requests[number].status == 401;
    came.admitted.retain(|(_, number)| is_wrong(*number));
    // Who raced may have met places that right ones held: alone, the rest of the quota is theirs, and no more.
    let mut wrong = Asked::get(7);
    wrong.status = 401;
    let mut memory = came.engine.memory();
    for _ in 0..quota + 20 {
        let (engine, now) = (&came.engine, came.end_ms);
        came.demand.push(now);
        let decision = ask(engine, &mut memory, &mut came.store, now, &wrong);
        if let Decision::Admitted(charges) = decision {
            came.admitted.push((now, usize::MAX));
            if let Some(charges) = charges {
                engine.settle(&charges, 401, &mut environment(&mut came.store, now));
            }
        }
    }
    let mut row = Row::new(SUITE, "wrong-passwords", "engine", seed);
    came.fill(&mut row, 3_600_000);
    (row.quota, row.bound, row.least) = (quota, quota, quota);
    row
}
