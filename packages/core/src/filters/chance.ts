const MILLION = 1_000_000;

/**
 * Draws for a percentage in steps of 1/1 000 000, as Envoy's FractionalPercent: Istio hands over value × 10 000, cut off
 * (TranslateFault, mirrorPercentage). 100 always hits, what is below 0.0001 never does.
 */
export function chance(percent: number, random: () => number): () => boolean {
  // 0.0003 × 10 000 is 2.999… in binary, and must not be cut to 2.
  const hits = Math.floor(percent * 10_000 + 1e-6);
  return () => random() * MILLION < hits;
}
