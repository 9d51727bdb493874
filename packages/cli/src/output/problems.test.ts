import type { Problem } from '@inmesh/policy';
import { describe, expect, it } from 'vitest';
import { plain } from './paint.ts';
import { printProblems, printSummary } from './problems.ts';

const problem = (given: Partial<Problem>): Problem => ({
  code: 'IST0106',
  severity: 'error',
  resource: 'VirtualService default/reviews',
  path: 'spec.http[0].timeout',
  message: '"3x" is not a duration',
  hint: 'write it with a unit: 3s, 500ms, 1h30m',
  file: 'policy/reviews.yaml',
  line: 12,
  column: 9,
  ...given,
});

const print = (problems: readonly Problem[], columns = Number.POSITIVE_INFINITY): string => printProblems(problems, plain, columns);

describe('problems in text', () => {
  it('say where, what and what to do', () => {
    expect(print([problem({})])).toBe(`✖ policy/reviews.yaml:12:9  IST0106  VirtualService default/reviews
  spec.http[0].timeout: "3x" is not a duration
  → write it with a unit: 3s, 500ms, 1h30m
`);
  });

  it('leave out what is not known', () => {
    expect(print([problem({ severity: 'warning', resource: '', path: '', hint: '', line: 0, column: 0 })]))
      .toBe(`▲ policy/reviews.yaml  IST0106
  "3x" is not a duration
`);
  });

  it('stand by file, and in a file by line', () => {
    const short = { path: '', hint: '', resource: '', message: '' };
    const places = print([
      problem({ ...short, file: 'b', line: 7 }),
      problem({ ...short, file: 'a', line: 3 }),
      problem({ ...short, file: 'b', line: 2 }),
    ]);
    expect(places.split('\n').filter((line) => !/^\s+$/.test(line))).toEqual([
      '✖ b:2:9  IST0106',
      '✖ b:7:9  IST0106',
      '',
      '✖ a:3:9  IST0106',
      '',
    ]);
  });

  it('are broken to the width of the terminal', () => {
    expect(print([problem({ message: 'a duration is a number with a unit, and this one has none at all' })], 50)).toBe(
      `✖ policy/reviews.yaml:12:9  IST0106  VirtualService default/reviews
  spec.http[0].timeout: a duration is a number
  with a unit, and this one has none at all
  → write it with a unit: 3s, 500ms, 1h30m
`,
    );
  });

  it('cannot carry control characters to the terminal', () => {
    expect(print([problem({ message: '\u001b[2J', path: '', hint: '' })])).toContain('  \\x1b[2J\n');
  });

  it('are summed up, the worst first', () => {
    const some = [problem({ severity: 'info' }), problem({}), problem({ severity: 'warning' }), problem({})];
    expect(printSummary(some, '12 resources', plain)).toBe('✖ 2 errors, 1 warning, 1 note in 12 resources\n');
    expect(printSummary(some.slice(0, 1), '1 resource', plain)).toBe('✔ 1 note in 1 resource\n');
    expect(printSummary([], '1 resource', plain)).toBe('✔ no problems in 1 resource\n');
  });
});
