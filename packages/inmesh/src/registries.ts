import type { Registry } from '@inmesh/discovery';
import { MeshError } from '@inmesh/core';

const inmeshRegistry =
  (scheme: string) =>
  async (rest: string): Promise<Registry> =>
    (await import('@inmesh/discovery/registry-server')).registryServer({ url: `${scheme}:${rest}` });

/** Platforms by the word before the colon; each is loaded when it is asked for. */
const PLATFORMS: Readonly<Record<string, (spec: string) => Promise<Registry>>> = {
  consul: async (address) => (await import('@inmesh/discovery/consul')).consul(address === '' ? {} : { address }),
  kubernetes: async (spec) => {
    const { kubernetesRegistry, parseScope } = await import('@inmesh/discovery/kubernetes');
    return kubernetesRegistry({ namespaces: parseScope(spec) });
  },
  http: inmeshRegistry('http'),
  https: inmeshRegistry('https'),
  file: async (spec) => {
    const { fileRegistry } = await import('@inmesh/discovery/file');
    if (spec === '') throw new MeshError('MISUSE', 'the registry "file" names no file: write file:endpoints.yaml');
    // `file:///abs` is a URL, the rest a path.
    return fileRegistry(spec.startsWith('//') ? `file:${spec}` : spec);
  },
};

/**
 * The registries a program, or INMESH_REGISTRIES (specs with commas between), asks for: `consul`, `consul:http://127.0.0.1:8500`,
 * `kubernetes`, `kubernetes:shop+web`, `file:endpoints.yaml`, `http://registry:8500`, or ones of the program's own. Throws MISUSE for a spec
 * nobody here speaks.
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
