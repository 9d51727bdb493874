import { MeshError } from '@inmesh/core';
import { memorySource, type PolicySource, sourceFrom } from '@inmesh/policy/source';

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

/** No rules: every service is called as Istio's defaults have it. */
const NO_RULES = 'apiVersion: v1\nkind: List\nitems: []\n';

/**
 * The source a policy option means: on a platform, or what `sourceFrom` knows. `cacheFile`: where its last good document is kept. '' means no
 * rules, where registries say what there is; else (`needed`) throws MISUSE.
 */
export async function policyFrom(
  spec: string | PolicySource,
  { cacheFile, needed = true }: { readonly cacheFile?: string | undefined; readonly needed?: boolean } = {},
): Promise<PolicySource> {
  if (spec === '' && !needed) return memorySource(NO_RULES, 'no policy');
  if (spec === '')
    throw new MeshError(
      'MISUSE',
      'createMesh needs a policy, or registries to follow: createMesh({ policy: "./policy" }), or INMESH_POLICY set to a file, a folder or a URL',
    );
  if (typeof spec !== 'string' || spec.includes('\n')) return sourceFrom(spec, { cacheFile });
  const [, scheme = '', rest = ''] = /^([a-z]+):(.*)$/i.exec(spec) ?? [];
  const open = PLATFORMS[scheme.toLowerCase()];
  return open === undefined ? sourceFrom(spec, { cacheFile }) : open(rest, cacheFile);
}
