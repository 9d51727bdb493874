/** What is known of one priority: how many endpoints count, and how many of them can take calls. */
export interface PriorityCount {
  readonly available: number;
  readonly total: number;
}

export interface PriorityPlan {
  /** Percent of calls by priority; whole numbers that sum to 100. */
  readonly loads: readonly number[];
  /** Percent each could take: min(100, 140 × available / total), Envoy's overprovisioning factor of 1.4. */
  readonly healths: readonly number[];
  /** Priorities so ill that everybody in them is called, the ill ones too. */
  readonly panics: readonly boolean[];
}

/** Percent that a group with so many available can carry. */
function healthOf({ available, total }: PriorityCount): number {
  return total === 0 ? 0 : Math.min(100, Math.floor((140 * available) / total));
}

/**
 * Shares calls among priorities: the first takes all it can, the rest spills to the next (Envoy's
 * load_balancer_impl.cc: recalculatePerPriorityState, recalculatePerPriorityPanic, recalculateLoadInTotalPanic).
 * `panicPercent` 0: never panic; then a cluster without anyone available refuses.
 */
export function planPriorities(counts: readonly PriorityCount[], panicPercent: number): PriorityPlan {
  const healths = counts.map(healthOf);
  const total = Math.min(100, sum(healths));
  const threshold = Math.min(100, panicPercent);
  // While all together can carry everything, one ill priority is no reason to panic.
  const panics = counts.map((count) => total < 100 && (count.total === 0 ? 0 : (100 * count.available) / count.total) < threshold);
  if (counts.length > 0 && panics.every(Boolean)) return { loads: loadsByCount(counts), healths, panics };
  return { loads: spill(healths), healths, panics };
}

/**
 * The loads of an attempt that shall leave the priorities tried before it (Envoy's previous_priorities); as planned if
 * nobody else can take a call.
 */
export function avoidPriorities({ loads, healths }: PriorityPlan, avoid: readonly number[]): readonly number[] {
  const others = healths.map((health, priority) => (avoid.includes(priority) ? 0 : health));
  return sum(others) === 0 ? loads : spill(others);
}

/** Each priority in turn takes what it can of 100; what rounding leaves over goes to the first that can take any. */
function spill(healths: readonly number[]): readonly number[] {
  const loads = healths.map(() => 0);
  const total = Math.min(100, sum(healths));
  let rest = 100;
  if (total > 0) {
    for (const [priority, health] of healths.entries()) {
      const load = Math.min(rest, Math.floor((health * 100) / total));
      loads[priority] = load;
      rest -= load;
    }
  }
  // With nobody available all calls go to the first, which refuses them.
  const first = Math.max(
    0,
    healths.findIndex((health) => health > 0),
  );
  if (loads.length > 0) loads[first]! += rest;
  return loads;
}

/** Total panic: by size, whoever is available. */
function loadsByCount(counts: readonly PriorityCount[]): readonly number[] {
  const everybody = sum(counts.map(({ total }) => total));
  const loads = counts.map(({ total }) => (everybody === 0 ? 0 : Math.floor((100 * total) / everybody)));
  const first = Math.max(
    0,
    counts.findIndex(({ total }) => total > 0),
  );
  loads[first]! += 100 - sum(loads);
  return loads;
}

function sum(numbers: readonly number[]): number {
  let total = 0;
  for (const number of numbers) total += number;
  return total;
}
