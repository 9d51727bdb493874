import type { Objective } from '@inmesh/policy';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;
const DAY = 24 * HOUR;

/** The windows burn rates are looked at over, in milliseconds: those of the Google SRE Workbook, chapter 5, and of Sloth. */
export const WINDOWS = {
  '5m': 5 * MINUTE,
  '30m': 30 * MINUTE,
  '1h': HOUR,
  '2h': 2 * HOUR,
  '6h': 6 * HOUR,
  '1d': DAY,
  '3d': 3 * DAY,
} as const;

export type WindowName = keyof typeof WINDOWS;

export type Severity = 'ticket' | 'page';

/** The budget burns if it does so over both windows: the long one says that it matters, the short one that it still goes on. */
export interface BurnAlert {
  readonly severity: Severity;
  readonly short: WindowName;
  readonly long: WindowName;
  /** Burn rate: errors per budgeted error. 1 uses the budget up exactly at the end of the objective's window. */
  readonly factor: number;
}

/** `share`: part of the budget that is gone after the long window. Over 30 days the factors are 14.4, 6, 3 and 1. */
const SHARES = [
  { severity: 'page', short: '5m', long: '1h', share: 0.02 },
  { severity: 'page', short: '30m', long: '6h', share: 0.05 },
  { severity: 'ticket', short: '2h', long: '1d', share: 0.1 },
  { severity: 'ticket', short: '6h', long: '3d', share: 0.1 },
] as const;

/** Below these a short window would make alerts of what the budget allows: at 2 it lasts half the window, at 1 the whole. */
const SLOWEST: Readonly<Record<Severity, number>> = { page: 2, ticket: 1 };

/** Of the highest burn rate there can be, when every call fails: one that stands for an outage must be in reach of a low objective, too. */
const OUTAGE = 0.9;

/** Share of calls that may be bad, 0–1; without the dust of binary fractions: of 99.9 it is 0.001. */
export const budgetOf = ({ objective }: Pick<Objective, 'objective'>): number => Number((1 - objective / 100).toPrecision(9));

/** Windows of an objective: none longer than its own. */
export const windowsOf = ({ windowMs }: Pick<Objective, 'windowMs'>): readonly WindowName[] =>
  (Object.keys(WINDOWS) as WindowName[]).filter((name) => WINDOWS[name] <= windowMs);

/** When the budget of an objective burns fast enough to wake somebody, or to file a ticket; the graver first. */
export function alertsOf(objective: Pick<Objective, 'objective' | 'windowMs'>): readonly BurnAlert[] {
  const highest = OUTAGE / budgetOf(objective);
  return SHARES.filter(({ long }) => WINDOWS[long] <= objective.windowMs).map(({ severity, short, long, share }) => {
    const scaled = (share * objective.windowMs) / WINDOWS[long];
    return { severity, short, long, factor: Math.min(Math.max(scaled, SLOWEST[severity]), highest) };
  });
}
