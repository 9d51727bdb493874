import { styleText } from 'node:util';
import type { Io } from '../io.ts';

/** Puts text in a style, or leaves it as it is where colours are not wanted. */
export type Paint = (style: Style, text: string) => string;

export type Style = 'bold' | 'dim' | 'red' | 'green' | 'yellow' | 'blue' | 'cyan' | 'magenta';

/**
 * For one of the two outputs: colours on a terminal only, unless FORCE_COLOR or NO_COLOR say otherwise
 * (https://no-color.org, https://force-color.org; FORCE_COLOR wins, as in Node itself).
 */
export function paintFor(io: Pick<Io, 'env' | 'tty'>, output: 'stdout' | 'stderr'): Paint {
  return wantsColour(io, output) ? (style, text) => (text === '' ? '' : styleText(style, text, { validateStream: false })) : plain;
}

/** No colours at all. */
export const plain: Paint = (_, text) => text;

export function wantsColour({ env, tty }: Pick<Io, 'env' | 'tty'>, output: 'stdout' | 'stderr'): boolean {
  const forced = env['FORCE_COLOR'];
  if (forced !== undefined) return forced !== '0' && forced !== 'false';
  if ((env['NO_COLOR'] ?? '') !== '' || env['TERM'] === 'dumb') return false;
  return tty[output];
}
