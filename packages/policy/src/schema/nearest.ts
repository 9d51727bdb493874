/** The word most like `input`, for "did you mean": at most two edits (one in a short word), or the same but for case and separators. */
export function nearest(input: string, words: Iterable<string>): string | undefined {
  if (input.length > 64) return undefined;
  const bare = fold(input);
  let best: string | undefined;
  let least = Math.min(3, Math.floor(bare.length / 3) + 1);
  for (const word of words) {
    const distance = edits(bare, fold(word), least);
    if (distance < least) {
      least = distance;
      best = word;
    }
  }
  return best;
}

const fold = (word: string): string => word.toLowerCase().replace(/[-_ ]/g, '');

/** Optimal string alignment: insertions, deletions, replacements and swaps of neighbours; at least `bound` as soon as it is reached. */
function edits(a: string, b: string, bound: number): number {
  if (Math.abs(a.length - b.length) >= bound) return bound;
  let before: number[] = [];
  let previous = Array.from({ length: b.length + 1 }, (_, index) => index);
  for (let i = 1; i <= a.length; i++) {
    const row = [i];
    for (let j = 1; j <= b.length; j++) {
      let cost = Math.min((previous[j] ?? 0) + 1, (row[j - 1] ?? 0) + 1, (previous[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1));
      if (i > 1 && j > 1 && a[i - 1] === b[j - 2] && a[i - 2] === b[j - 1]) cost = Math.min(cost, (before[j - 2] ?? 0) + 1);
      row.push(cost);
    }
    before = previous;
    previous = row;
  }
  return previous[b.length] ?? bound;
}
