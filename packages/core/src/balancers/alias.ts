/** Draws an index in proportion to its weight with one random number, in constant time (Vose's alias method). */
export function aliasTable(weights: Float64Array, random: () => number): () => number {
  const { length } = weights;
  let total = 0;
  for (const weight of weights) total += weight;
  // Each column holds its own index up to `share`, and `other` above it.
  const share = Float64Array.from(weights, (weight) => (weight / total) * length);
  const other = new Uint32Array(length);
  const low: number[] = [];
  const high: number[] = [];
  for (let index = 0; index < length; index += 1) (share[index]! < 1 ? low : high).push(index);
  while (low.length > 0 && high.length > 0) {
    const poor = low.pop()!;
    const rich = high.at(-1)!;
    other[poor] = rich;
    share[rich]! -= 1 - share[poor]!;
    if (share[rich]! < 1) low.push(high.pop()!);
  }
  // What is left is 1 but for rounding.
  for (const index of [...low, ...high]) share[index] = 1;
  return () => {
    const draw = random() * length;
    const column = Math.floor(draw);
    return draw - column < share[column]! ? column : other[column]!;
  };
}
