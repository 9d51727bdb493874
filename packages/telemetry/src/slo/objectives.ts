import type { Clock, EndedCall, MeshEvent, Observer, RouteObserver, Timer } from '@inmesh/core';
import { systemClock } from '@inmesh/core';
import type { EnforcedAction, Objective } from '@inmesh/policy';
import { LabelSet, type MetricFamily, type MetricSource } from '../exposition.ts';
import { alertsOf, budgetOf, type Severity, WINDOWS, type WindowName, windowsOf } from './burn-rates.ts';
import { Counts } from './counts.ts';
import { available } from './outcome.ts';

/** Who counted: `source` the callers of the service, `destination` the process that serves it, as in Istio's metrics. */
export type Reporter = 'source' | 'destination';

/** How an objective stands in this process, as one side sees it. */
export interface ObjectiveStatus {
  /** `ServiceLevelObjective namespace/name`. */
  readonly resource: string;
  /** Host. */
  readonly service: string;
  readonly indicator: Objective['indicator'];
  /** Percent. */
  readonly objective: number;
  readonly windowMs: number;
  /** null: this process has seen no call yet. */
  readonly reporter: Reporter | null;
  /** Calls that count, and those of them that were bad: over the objective's window, or since the process began. */
  readonly total: number;
  readonly bad: number;
  /** Errors per budgeted error by window; 1 uses the budget up exactly at the end of the objective's window. 0 without calls. */
  readonly burn: Readonly<Partial<Record<WindowName, number>>>;
  /** Share of the budget that is left; below 0 once more is gone than there was. */
  readonly budgetLeft: number;
  readonly state: 'ok' | Severity;
  /** What is done about it now. */
  readonly enforcing: readonly EnforcedAction[];
}

export interface ObjectivesOptions {
  readonly clock?: Clock;
  /**
   * Bad calls there must be in the longer window of an alert. One failure in three calls at night is a burn rate of hundreds, and
   * nothing to wake anybody for: a few failures are chance, not a rate. Default 5.
   */
  readonly minimumBad?: number;
  /** Hears that a budget begins to burn, burns otherwise, or no longer does. */
  readonly onEvent?: (event: MeshEvent) => void;
  /** The state of an objective changed, as callers see it: what is enforced may have. */
  readonly onChange?: () => void;
}

/** Counts how services keep what they promise. Told which objectives hold by `use`. */
export interface Objectives extends Observer, MetricSource {
  /** From now on these hold. What was counted for one goes on as long as its name, indicator, objective and window stay. */
  use(objectives: readonly Objective[]): void;
  status(): readonly ObjectiveStatus[];
  /** Objectives whose enforcement holds now. */
  enforced(): readonly Objective[];
  close(): void;
}

/** A state is left when no alert has held for as long as the shortest window: what is enforced must not come and go with every retry. */
export const HOLD_MS = 5 * 60_000;

/** Connections of TCP have no outcome to judge. */
const uncounted: RouteObserver = { ended: () => {} };

const EVALUATE_MS = 10_000;
const RANK = { ok: 0, ticket: 1, page: 2 } as const;
/** Objectives that no longer hold, and may come back with the next document. */
const KEPT = 100;

/** An objective as one side sees it. */
interface Side {
  readonly counts: Counts;
  state: 'ok' | Severity;
  /** When the alert of the state last held. */
  heldAt: number;
}

interface Tracked {
  objective: Objective;
  readonly thresholdMs: number;
  readonly sides: Partial<Record<Reporter, Side>>;
}

/** Where the calls of one service are counted; observers of routes hold on to it, and `use` changes what it holds. */
interface Place {
  tracked: readonly Tracked[];
}

export function objectives({ clock = systemClock, minimumBad = 5, onEvent, onChange }: ObjectivesOptions = {}): Objectives {
  let inForce: readonly Tracked[] = [];
  const known = new Map<string, Tracked>();
  const places = new Map<string, Place>();
  let timer: Timer | undefined;

  const ofService = (service: string): readonly Tracked[] => inForce.filter(({ objective }) => objective.service === service);
  const placeOf = (service: string): Place => {
    let place = places.get(service);
    if (place === undefined) places.set(service, (place = { tracked: ofService(service) }));
    return place;
  };
  const observe = (service: string, reporter: Reporter): RouteObserver => {
    const place = placeOf(service);
    return {
      ended: (call) => {
        if (place.tracked.length > 0) count(place.tracked, reporter, call, clock.now());
      },
    };
  };

  const stateOf = (objective: Objective, { counts }: Side, now: number): 'ok' | Severity => {
    const budget = budgetOf(objective);
    const burns = (window: WindowName, factor: number, atLeast: number): boolean => {
      const { total, bad } = counts.over(WINDOWS[window], now);
      return bad >= atLeast && bad > factor * budget * total;
    };
    const held = alertsOf(objective).find(({ short, long, factor }) => burns(long, factor, minimumBad) && burns(short, factor, 1));
    return held?.severity ?? 'ok';
  };

  /** Brings the states up to date, and tells what changed. */
  const evaluate = (): void => {
    const now = clock.now();
    let changed = false;
    for (const { objective, sides } of inForce) {
      for (const [reporter, side] of sidesOf(sides)) {
        const state = stateOf(objective, side, now);
        if (RANK[state] >= RANK[side.state]) side.heldAt = now;
        else if (now - side.heldAt < HOLD_MS) continue;
        if (state === side.state) continue;
        side.state = state;
        side.heldAt = now;
        changed ||= reporter === 'source';
        const what = { slo: `${objective.namespace}/${objective.name}`, service: objective.service, reporter };
        onEvent?.(state === 'ok' ? { type: 'slo.recovered', ...what } : { type: 'slo.burning', ...what, severity: state });
      }
    }
    if (changed) onChange?.();
  };

  const schedule = (): void => {
    timer = clock.after(EVALUATE_MS, () => {
      timer = undefined;
      if (inForce.length === 0) return;
      schedule();
      evaluate();
    });
  };

  const statusOf = ({ objective, sides }: Tracked): readonly ObjectiveStatus[] => {
    const now = clock.now();
    const { resource, service, indicator, objective: percent, windowMs } = objective;
    const common = { resource, service, indicator, objective: percent, windowMs };
    const seen = sidesOf(sides).map(([reporter, side]): ObjectiveStatus => {
      const { total, bad } = side.counts.over(windowMs, now);
      const burn = Object.fromEntries(
        windowsOf(objective).map((name) => [name, burnRate(objective, side.counts.over(WINDOWS[name], now))]),
      );
      const budgetLeft = 1 - burnRate(objective, { total, bad });
      return {
        ...common,
        reporter,
        total,
        bad,
        burn,
        budgetLeft,
        state: side.state,
        enforcing: reporter === 'source' ? enforcing(objective, side) : [],
      };
    });
    if (seen.length > 0) return seen;
    const burn = Object.fromEntries(windowsOf(objective).map((name) => [name, 0]));
    return [{ ...common, reporter: null, total: 0, bad: 0, burn, budgetLeft: 1, state: 'ok', enforcing: [] }];
  };

  const count = (tracked: readonly Tracked[], reporter: Reporter, call: EndedCall, now: number): void => {
    const there = available(call);
    if (there === undefined) return;
    for (const { objective, thresholdMs, sides } of tracked) {
      const side = (sides[reporter] ??= { counts: new Counts(now, objective.windowMs), state: 'ok', heldAt: now });
      side.counts.add(there && call.ms <= thresholdMs, now);
    }
  };

  return {
    route: ({ service, protocol }) => (protocol === 'tcp' ? uncounted : observe(service, 'source')),
    inbound: ({ service }) => {
      if (service === '') return uncounted;
      const served = observe(service, 'destination');
      // What could not be read as a call is none of the service's.
      return { ended: (call) => void (call.call !== undefined && call.call.protocol !== 'tcp' && served.ended(call)) };
    },
    event: () => {},
    use: (next) => {
      inForce = next.map((objective) => {
        const key = keyOf(objective);
        const tracked = known.get(key) ?? {
          objective,
          thresholdMs: objective.indicator.kind === 'latency' ? objective.indicator.thresholdMs : Infinity,
          sides: {},
        };
        tracked.objective = objective;
        // A Map keeps the order of insertion: those in force are the youngest.
        known.delete(key);
        known.set(key, tracked);
        return tracked;
      });
      for (const key of [...known.keys()].slice(0, Math.max(0, known.size - next.length - KEPT))) known.delete(key);
      for (const [service, place] of places) {
        place.tracked = ofService(service);
        // Whoever calls it under a later document asks for a new one.
        if (place.tracked.length === 0) places.delete(service);
      }
      if (inForce.length > 0 && timer === undefined) schedule();
    },
    status: () => {
      evaluate();
      return inForce.flatMap(statusOf);
    },
    enforced: () => inForce.filter(({ objective, sides }) => sides.source !== undefined && enforcing(objective, sides.source).length > 0).map(({ objective }) => objective),
    families: () => {
      evaluate();
      return familiesOf(
        inForce.map(({ objective, sides }) => ({ objective, sides: sidesOf(sides) })),
        clock.now(),
      );
    },
    close: () => {
      inForce = [];
      timer?.cancel();
      timer = undefined;
    },
  }; // prettier-ignore
}

const keyOf = ({ resource, service, indicator, objective, windowMs }: Objective): string =>
  JSON.stringify([resource, service, indicator, objective, windowMs]);

const sidesOf = (sides: Tracked['sides']): readonly (readonly [Reporter, Side])[] => Object.entries(sides) as [Reporter, Side][];

const burnRate = (objective: Objective, { total, bad }: { readonly total: number; readonly bad: number }): number =>
  total === 0 ? 0 : bad / total / budgetOf(objective);

const enforcing = ({ enforcement }: Objective, { state }: Side): readonly EnforcedAction[] =>
  enforcement !== null && RANK[state] >= RANK[enforcement.when] ? enforcement.actions : [];

interface Told {
  readonly objective: Objective;
  readonly sides: readonly (readonly [Reporter, Side])[];
}

function familiesOf(told: readonly Told[], now: number): readonly MetricFamily[] {
  const family = (name: string, type: 'counter' | 'gauge', help: string, samples: readonly (readonly [labels: Record<string, string>, value: number])[]): MetricFamily =>
    ({ name, type, help, samples: samples.map(([labels, value]) => ({ labels: new LabelSet(labels), value })) }); // prettier-ignore
  const named = ({ namespace, name, service }: Objective): Record<string, string> => ({ slo: `${namespace}/${name}`, service });
  const each = <T>(of: (objective: Objective, counts: Counts, labels: Record<string, string>) => readonly T[]): readonly T[] =>
    told.flatMap(({ objective, sides }) =>
      sides.flatMap(([reporter, { counts }]) => of(objective, counts, { ...named(objective), reporter })),
    );
  return [
    family('inmesh_slo_objective_ratio', 'gauge', 'Share of calls that shall be good.', told.map(({ objective }) => [named(objective), objective.objective / 100])),
    family('inmesh_slo_window_seconds', 'gauge', 'Window of the objective.', told.map(({ objective }) => [named(objective), objective.windowMs / 1000])),
    family('inmesh_slo_burn_rate', 'gauge', 'Errors per budgeted error; 1 uses the budget up exactly at the end of the window of the objective.',
      each((objective, counts, labels) => windowsOf(objective).map((window) => [{ ...labels, window }, burnRate(objective, counts.over(WINDOWS[window], now))] as const))),
    family('inmesh_slo_budget_left_ratio', 'gauge', 'Share of the error budget that is left, of what this process has seen.',
      each((objective, counts, labels) => [[labels, 1 - burnRate(objective, counts.over(objective.windowMs, now))] as const])),
    family('inmesh_slo_good_total', 'counter', 'Calls that were as good as the objective asks for.', each((_, { total, bad }, labels) => [[labels, total - bad] as const])),
    family('inmesh_slo_events_total', 'counter', 'Calls that count for the objective.', each((_, { total }, labels) => [[labels, total] as const])),
  ]; // prettier-ignore
}
