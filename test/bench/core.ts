/**
 * `npm run bench:core [-- --rounds 15 --only calls --json FILE]`: what the pipeline itself costs, without a socket. Costs
 * are CPU of the main thread and bounds on growth are ratios within one run, so that a busy machine changes little.
 * Exit code 1 if a bound is missed.
 */
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { measureCalls } from './core/call.ts';
import { measureChanges } from './core/change.ts';
import { measureCompile } from './core/compile.ts';
import { kept, type Row, type Section } from './core/measure.ts';
import { measureMemory } from './core/memory.ts';
import { measureTables } from './core/tables.ts';

const { values } = parseArgs({
  options: { rounds: { type: 'string', default: '15' }, json: { type: 'string' }, only: { type: 'string' } },
});
const rounds = Number(values.rounds);
if (!Number.isInteger(rounds) || rounds < 1) throw new Error(`--rounds must be a whole number from 1 on, not "${values.rounds}"`);

const SECTIONS: Readonly<Record<string, () => Promise<Section>>> = {
  calls: () => measureCalls(rounds),
  compile: () => measureCompile(Math.min(rounds, 5)),
  changes: () => measureChanges(rounds),
  tables: () => measureTables(Math.min(rounds, 5)),
  memory: () => measureMemory(),
};
if (values.only !== undefined && SECTIONS[values.only] === undefined)
  throw new Error(`--only must be one of ${Object.keys(SECTIONS).join(', ')}, not "${values.only}"`);

const sections: Section[] = [];
for (const [name, measure] of Object.entries(SECTIONS)) {
  if (values.only !== undefined && values.only !== name) continue;
  process.stderr.write(`\r${name} … `.padEnd(20));
  const section = await measure();
  process.stderr.write('\r'.padEnd(20) + '\r');
  sections.push(section);
  print(section);
}
console.log(`${rounds} rounds, Node ${process.version}; medians (calls: lower quartiles); CPU of the main thread.`);
if (values.json !== undefined) writeFileSync(values.json, JSON.stringify({ node: process.version, rounds, sections }, null, 2));

const missed = sections.flatMap(({ rows }) => rows).filter((row) => !kept(row));
for (const row of missed) console.error(`over its bound: ${row.what}: ${figure(row)} (bound ${boundOf(row)})`);
process.exitCode = missed.length > 0 ? 1 : 0;

function print({ name, rows }: Section): void {
  const width = Math.max(...rows.map(({ what }) => what.length));
  console.log(`| ${name.padEnd(width)} | measured | bound |`);
  console.log(`|${'-'.repeat(width + 2)}|---:|---|`);
  for (const row of rows) console.log(`| ${row.what.padEnd(width)} | ${figure(row)} | ${boundOf(row)} |`);
  console.log('');
}

function figure({ value, unit }: Row): string {
  if (unit === '') return String(value);
  return `${value.toFixed(unit === 'ns' ? 0 : 2)} ${unit}`;
}

function boundOf({ atLeast, atMost, unit }: Row): string {
  const limit = [...(atLeast === undefined ? [] : [`≥ ${atLeast}`]), ...(atMost === undefined ? [] : [`≤ ${atMost}`])];
  return limit.length === 0 ? '' : `${limit.join(', ')} ${unit}`.trim();
}
