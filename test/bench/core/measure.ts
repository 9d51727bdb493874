/**
 * How the core bench measures: CPU of the main thread, so that neighbours on the machine cost us nothing but patience, and
 * medians over rounds in which all candidates run one after another.
 */

/** One line of a section: what was measured, and the bound it must keep (none: for information). */
export interface Row {
  readonly what: string;
  readonly value: number;
  readonly unit: 'ns' | 'ms' | '×' | 'MB' | '';
  /** `value` must lie within. */
  readonly atLeast?: number;
  readonly atMost?: number;
}

export interface Section {
  readonly name: string;
  readonly rows: readonly Row[];
}

export function kept({ value, atLeast = -Infinity, atMost = Infinity }: Row): boolean {
  return value >= atLeast && value <= atMost;
}

/** CPU milliseconds of the main thread since the process began. On an idle machine a synchronous piece of work takes just as long. */
export function threadMs(): number {
  // Asking for the whole process makes Linux bring the account of this thread up to date, which else may be a tick (4 ms) old.
  process.cpuUsage();
  const { user, system } = process.threadCpuUsage();
  return (user + system) / 1000;
}

export function median(values: readonly number[]): number {
  const sorted = [...values].sort((one, other) => one - other);
  const middle = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[middle]! : (sorted[middle - 1]! + sorted[middle]!) / 2;
}

/** A thing to measure, run once per round. */
export interface Candidate {
  readonly name: string;
  /** What one run cost. */
  run(): Promise<number>;
}

/**
 * Costs by name, one per round. Every round starts with another candidate, so that none always runs behind the same
 * neighbour; the first `warmUp` rounds are not counted.
 */
export async function interleave(candidates: readonly Candidate[], rounds: number, warmUp: number): Promise<ReadonlyMap<string, number[]>> {
  const costs = new Map<string, number[]>(candidates.map(({ name }) => [name, []]));
  for (let round = 0; round < rounds + warmUp; round += 1) {
    for (let turn = 0; turn < candidates.length; turn += 1) {
      const candidate = candidates[(turn + round) % candidates.length]!;
      const cost = await candidate.run();
      if (round >= warmUp) costs.get(candidate.name)!.push(cost);
    }
  }
  return costs;
}

/** The lower quartile: what neighbours do to shared caches only ever adds, and comes in bursts. */
export function quiet(costs: readonly number[]): number {
  return [...costs].sort((one, other) => one - other)[costs.length >> 2]!;
}
