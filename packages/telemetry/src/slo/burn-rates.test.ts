import { describe, expect, it } from 'vitest';
import { alertsOf, windowsOf } from './burn-rates.ts';

const DAY = 86_400_000;
const told = (objective: number, windowMs: number) =>
  alertsOf({ objective, windowMs }).map(
    ({ severity, short, long, factor }) => `${severity} ${Number(factor.toFixed(3))}×(${short}∧${long})`,
  );

describe('alerts on burn rates', () => {
  it('are those of the SRE Workbook over 30 days', () => {
    expect(told(99.9, 30 * DAY)).toEqual(['page 14.4×(5m∧1h)', 'page 6×(30m∧6h)', 'ticket 3×(2h∧1d)', 'ticket 1×(6h∧3d)']);
  });

  it('cost the same share of the budget over another window, but none asks for less than the budget allows', () => {
    expect(told(99.9, 90 * DAY)).toEqual(['page 43.2×(5m∧1h)', 'page 18×(30m∧6h)', 'ticket 9×(2h∧1d)', 'ticket 3×(6h∧3d)']);
    expect(told(99.9, 7 * DAY)).toEqual(['page 3.36×(5m∧1h)', 'page 2×(30m∧6h)', 'ticket 1×(2h∧1d)', 'ticket 1×(6h∧3d)']);
  });

  it('look at no window longer than the objective’s own', () => {
    expect(told(99, DAY / 24)).toEqual(['page 2×(5m∧1h)']);
    expect(windowsOf({ windowMs: DAY })).toEqual(['5m', '30m', '1h', '2h', '6h', '1d']);
  });

  it('tell an outage of a low objective, too, whose burn rate cannot be high', () => {
    // Where every call fails, half of which may, the burn rate is 2.
    expect(told(50, 30 * DAY)[0]).toBe('page 1.8×(5m∧1h)');
    expect(told(90, 30 * DAY)[0]).toBe('page 9×(5m∧1h)');
  });
});
