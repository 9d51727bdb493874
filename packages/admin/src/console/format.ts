/** Numbers and times as people read them. */

export const rate = (perSecond: number): string =>
  perSecond === 0
    ? '0/s'
    : `${perSecond < 0.01 ? '<0.01' : perSecond < 10 ? perSecond.toFixed(2) : perSecond < 100 ? perSecond.toFixed(1) : count(Math.round(perSecond))}/s`;

export const count = (value: number): string => value.toLocaleString('en-GB');

export function share(part: number): string {
  const percent = part * 100;
  if (percent === 0 || percent === 100) return `${percent}\u00a0%`;
  return percent < 0.1 ? '<0.1\u00a0%' : `${percent < 10 ? percent.toFixed(1) : Math.round(percent)}\u00a0%`;
}

export const ms = (value: number | null | undefined): string =>
  value === null || value === undefined ? '–'
  : value < 10 ? `${Number(value.toFixed(1))} ms`
  : value < 1000 ? `${Math.round(value)} ms`
  : span(value); // prettier-ignore

const UNITS: readonly (readonly [string, number])[] = [['d', 86_400_000], ['h', 3_600_000], ['min', 60_000], ['s', 1000]]; // prettier-ignore

/** Two units are enough: `3 h 12 min`. */
export function span(milliseconds: number): string {
  const at = UNITS.findIndex(([, unit]) => milliseconds >= unit);
  if (at < 0) return `${Math.round(milliseconds)} ms`;
  const [name, unit] = UNITS[at]!;
  const whole = Math.floor(milliseconds / unit);
  const next = UNITS[at + 1];
  if (next === undefined)
    return `${milliseconds < 10_000 ? Number((milliseconds / unit).toFixed(1)) : Math.round(milliseconds / unit)} ${name}`;
  const rest = Math.floor((milliseconds % unit) / next[1]);
  return rest === 0 ? `${whole} ${name}` : `${whole} ${name} ${rest} ${next[0]}`;
}

export function bytes(value: number): string {
  const units = ['B', 'KB', 'MB', 'GB'];
  let at = 0;
  while (value >= 1000 && at < units.length - 1) {
    value /= 1000;
    at += 1;
  }
  return `${value < 10 && at > 0 ? value.toFixed(1) : Math.round(value)} ${units[at]}`;
}

export const ago = (at: number): string => `${span(Math.max(0, Date.now() - at))} ago`;
export const clock = (at: number | string): string => new Date(at).toLocaleTimeString('en-GB');
export const pairs = (labels: Readonly<Record<string, string>>): string => Object.entries(labels).map(([name, value]) => `${name}=${value}`).join(' '); // prettier-ignore
export const place = ({ region, zone, subzone }: { readonly region: string; readonly zone: string; readonly subzone: string }): string => [region, zone, subzone].filter(Boolean).join('/'); // prettier-ignore
