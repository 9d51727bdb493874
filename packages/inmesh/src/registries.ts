import type { Registry } from '@inmesh/discovery';
import { MeshError } from '@inmesh/core';
import { type PolicySource, sourceFrom } from '@inmesh/policy/source';

/** Platforms by the word before the colon; each is loaded when it is asked for. */
const PLATFORMS: Readonly<Record<string, (spec: string) => Promise<Registry>>> = {
  kubernetes: async (spec) => {
    const { kubernetesRegistry, parseScope } = await import('@inmesh/discovery/kubernetes');
    return kubernetesRegistry({ namespaces: parseScope(spec) });
  },
};

type OpenPolicy = (spec: string, cacheFile: string | undefined) => Promise<PolicySource>;

/** Platforms that hold policies, by scheme. */
const POLICIES: Readonly<Record<string, OpenPolicy>> = {
  kubernetes: async (spec, cacheFile) => {
    const { kubernetesPolicy, parseScope } = await import('@inmesh/discovery/kubernetes');
    return kubernetesPolicy({ namespaces: parseScope(spec), cacheFile });
  },
};

/** Where a policy is said to be: on a platform (`kubernetes:`, `kubernetes:shop+web`), or a file, folder or URL. */
export async function openPolicy(policy: string | PolicySource, cacheFile: string | undefined): Promise<PolicySource> {
  const colon = typeof policy === 'string' ? policy.indexOf(':') : -1;
  const open = typeof policy === 'string' && colon > 0 ? POLICIES[policy.slice(0, colon)] : undefined;
  return open === undefined ? sourceFrom(policy, { cacheFile }) : open((policy as string).slice(colon + 1), cacheFile);
}

/**
 * The registries a program, or INMESH_REGISTRIES (specs with commas between), asks for: `consul`, `consul:http://127.0.0.1:8500`,
 * `kubernetes`, `kubernetes:shop+web`, or ones of the program's own. Throws MISUSE for a spec nobody here speaks.
 */
export async function openRegistries(
  given: readonly (string | Registry)[] | undefined,
  env: Readonly<Record<string, string | undefined>> = process.env,
): Promise<readonly Registry[]> {
  const specs = given ?? (env['INMESH_REGISTRIES'] ?? '').split(',').map((spec) => spec.trim()).filter((spec) => spec !== ''); // prettier-ignore
  return Promise.all(
    specs.map(async (spec) => {
      if (typeof spec !== 'string') return spec;
      const colon = spec.indexOf(':');
      const open = PLATFORMS[colon < 0 ? spec : spec.slice(0, colon)];
      if (open === undefined)
        throw new MeshError('MISUSE', `unknown registry "${spec}": the platforms are ${Object.keys(PLATFORMS).join(', ')}`);
      return open(colon < 0 ? '' : spec.slice(colon + 1));
    }),
  );
}
