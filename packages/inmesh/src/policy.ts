import { MeshError } from '@inmesh/core';
import { type PolicySource, sourceFrom } from '@inmesh/policy/source';

type Open = (spec: string, cacheFile: string | undefined) => Promise<PolicySource>;

/** Platforms that hold policies, by scheme; each is loaded when it is asked for. */
const PLATFORMS: Readonly<Record<string, Open>> = {
  /** `PREFIX` at the agent the environment names, `//HOST:PORT/PREFIX` elsewhere. */
  consul: async (spec, cacheFile) => {
    const [, address, prefix] = /^\/\/([^/]+)\/(.*)$/.exec(spec) ?? [];
    if (spec.startsWith('//') && address === undefined)
      throw new MeshError('MISUSE', `policy "consul:${spec}" names no prefix: write consul://HOST:PORT/PREFIX`);
    const { consulPolicy } = await import('@inmesh/discovery/consul');
    return consulPolicy({
      prefix: prefix ?? spec,
      ...(address === undefined ? {} : { address }),
      ...(cacheFile === undefined ? {} : { cacheFile }),
    });
  },
  /** Namespaces with `+` between; none: the process's own; `*`: all. */
  kubernetes: async (spec, cacheFile) => {
    const { kubernetesPolicy, parseScope } = await import('@inmesh/discovery/kubernetes');
    return kubernetesPolicy({ namespaces: parseScope(spec), cacheFile });
  },
};

/** The source a policy option means: on a platform, or what `sourceFrom` knows. `cacheFile`: where its last good document is kept. */
export async function policyFrom(
  spec: string | PolicySource,
  { cacheFile }: { readonly cacheFile?: string | undefined } = {},
): Promise<PolicySource> {
  if (typeof spec !== 'string' || spec.includes('\n')) return sourceFrom(spec, { cacheFile });
  const [, scheme = '', rest = ''] = /^([a-z]+):(.*)$/i.exec(spec) ?? [];
  const open = PLATFORMS[scheme.toLowerCase()];
  return open === undefined ? sourceFrom(spec, { cacheFile }) : open(rest, cacheFile);
}
