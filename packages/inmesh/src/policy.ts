import { MeshError } from '@inmesh/core';
import { type PolicySource, sourceFrom } from '@inmesh/policy/source';

/**
 * The source a policy option means: what `sourceFrom` knows, and documents in Consul's key-value store: `consul:PREFIX` at the agent
 * the environment names, `consul://HOST:PORT/PREFIX` elsewhere. `cacheFile`: where its last good document is kept.
 */
export async function policyFrom(
  spec: string | PolicySource,
  options: { readonly cacheFile?: string | undefined } = {},
): Promise<PolicySource> {
  if (typeof spec !== 'string' || !/^consul:[^\n]*$/i.test(spec)) return sourceFrom(spec, options);
  const rest = spec.slice('consul:'.length);
  const [, address, prefix] = /^\/\/([^/]+)\/(.*)$/.exec(rest) ?? [];
  if (rest.startsWith('//') && address === undefined)
    throw new MeshError('MISUSE', `policy "${spec}" names no prefix: write consul://HOST:PORT/PREFIX`);
  // Loaded only when asked for.
  const { consulPolicy } = await import('@inmesh/discovery/consul');
  return consulPolicy({
    prefix: prefix ?? rest,
    ...(address === undefined ? {} : { address }),
    ...(options.cacheFile === undefined ? {} : { cacheFile: options.cacheFile }),
  });
}
