import { styleText } from 'node:util';
import type { Verdict } from './promises.ts';
import type { Tally } from './tally.ts';

/**
 * What was promised and what became of it. Of several rounds the last is shown whole, of those before what was broken.
 * Exit code 0 if all was kept, 1 if not, 130 if the story was interrupted before anything could be judged.
 */
export function summary(
  rounds: readonly (readonly Verdict[])[],
  tidy: Verdict,
  { total, failed }: Tally,
): { readonly text: string; readonly exitCode: number } {
  const last = rounds.at(-1) ?? [];
  const earlier = rounds
    .slice(0, -1)
    .flatMap((round, index) => round.filter(({ kept }) => !kept).map((one) => ({ ...one, text: `round ${index + 1}: ${one.text}` })));
  const shown = [...earlier, ...last, tidy];
  const width = Math.max(...shown.map(({ text }) => text.length));
  const broken = shown.filter(({ kept }) => !kept).length;
  const lines = shown.map(({ text, kept, figure }) => {
    const line = ` ${kept ? styleText('green', '✓') : styleText('red', '✗')} ${text.padEnd(width)}  ${styleText(kept ? 'dim' : 'red', figure)}`;
    return line;
  });
  const told = rounds.length === 0 ? 'interrupted' : rounds.length === 1 ? `${total} calls` : `${rounds.length} rounds, ${total} calls`;
  const judged =
    broken === 0
      ? styleText(['bold', 'green'], 'every promise kept')
      : styleText(['bold', 'red'], `${broken} of ${shown.length} promises broken`);
  const end = rounds.length === 0 && broken === 0 ? ` ${told} after ${total} calls, ${failed} failed` : ` ${told}: ${judged}`;
  return { text: `\n${lines.join('\n')}\n\n${end}\n`, exitCode: broken > 0 ? 1 : rounds.length === 0 ? 130 : 0 };
}
