import type { Problem } from '@inmesh/policy';
import type { Paint, Style } from './paint.ts';
import { count, printable, wrap } from './words.ts';

const LOOK: Readonly<Record<Problem['severity'], readonly [symbol: string, style: Style]>> = {
  error: ['✖', 'red'],
  warning: ['▲', 'yellow'],
  info: ['●', 'blue'],
};

/** Problems for people: by file, in the order of its lines; each with a place editors and terminals can jump to. '' for none. */
export function printProblems(problems: readonly Problem[], paint: Paint, columns: number): string {
  return [...byFile(printable(problems))]
    .map((inFile) => inFile.map((problem) => printProblem(problem, paint, columns)).join(''))
    .join('\n');
}

/** `3 errors, 2 warnings, 1 note in 12 resources`; what there is none of is left out. */
export function printSummary(problems: readonly Problem[], where: string, paint: Paint): string {
  const found = (severity: Problem['severity'], word: string): string[] => {
    const n = problems.filter((problem) => problem.severity === severity).length;
    return n === 0 ? [] : [count(n, word)];
  };
  const parts = [...found('error', 'error'), ...found('warning', 'warning'), ...found('info', 'note')];
  const worst = (['error', 'warning'] as const).find((severity) => problems.some((problem) => problem.severity === severity));
  const [symbol, style] = worst === undefined ? (['✔', 'green'] as const) : LOOK[worst];
  return `${paint(style, symbol)} ${paint('bold', parts.length === 0 ? 'no problems' : parts.join(', '))} in ${where}\n`;
}

function printProblem(
  { severity, file, line, column, code, resource, path, message, hint }: Problem,
  paint: Paint,
  columns: number,
): string {
  const [symbol, style] = LOOK[severity];
  const place = line === 0 ? file : `${file}:${line}:${column}`;
  const head = [paint('bold', place), paint(style, code), resource].filter((part) => part !== '').join('  ');
  const text = path === '' ? message : `${paint('cyan', path)}: ${message}`;
  const lines = [`${paint(style, symbol)} ${head}`, `  ${wrap(text, columns, 2)}`];
  if (hint !== '') lines.push(`  ${paint('green', '→')} ${wrap(hint, columns, 4)}`);
  return `${lines.join('\n')}\n`;
}

/** Files in the order they were first met, the problems of each by place. */
function byFile(problems: readonly Problem[]): Iterable<readonly Problem[]> {
  const files = new Map<string, Problem[]>();
  for (const problem of problems) {
    const list = files.get(problem.file);
    if (list === undefined) files.set(problem.file, [problem]);
    else list.push(problem);
  }
  for (const list of files.values()) list.sort((a, b) => a.line - b.line || a.column - b.column);
  return files.values();
}
