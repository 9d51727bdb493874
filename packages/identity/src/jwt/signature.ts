import { fits } from '../jws/algorithms.ts';
import type { KeySet, TokenKey } from './keys.ts';
import type { Token } from './token.ts';

type Jose = typeof import('jose/jws/compact/verify');

/** Loaded with the first token: most processes never see one. */
let jose: Promise<Jose> | undefined;

/** The key that signed a token. `unknown`: none it could mean is in the set; `wrong`: none of those signed it. Rejects only if jose cannot be loaded. */
export async function signerOf(text: string, token: Token, { keys }: KeySet): Promise<TokenKey | 'unknown' | 'wrong'> {
  const { algorithm, kid } = token;
  // As jwt_verify_lib (src/verify.cc): names count where both have one, the algorithm where the key has one.
  const meant = keys.filter(
    (key) => (kid === '' || key.kid === '' || key.kid === kid) && (key.algorithm === undefined || key.algorithm === algorithm),
  );
  if (meant.length === 0) return 'unknown';
  const { compactVerify } = await (jose ??= import('jose/jws/compact/verify'));
  for (const key of meant) {
    // Whatever the token says: a key serves its own algorithms only.
    if (!fits(algorithm, key.key)) continue;
    try {
      await compactVerify(text, key.key, { algorithms: [algorithm.name] });
      return key;
    } catch {
      // Not by this one, for whatever reason.
    }
  }
  return 'wrong';
}
