import { createMesh, type CreateMeshOptions, type Mesh, type MeshEvent } from 'inmesh';
import { memorySource, type MemorySource } from '@inmesh/policy/source';

export interface TestMesh extends Mesh, AsyncDisposable {
  readonly events: MeshEvent[];
  /** Replaces the policy as a running process would see it. */
  set(yaml: string): void;
}

const texts = (yaml: string) => [{ file: 'test.yaml', text: yaml }];

/** A mesh under a policy given as YAML. Namespace `default`, workload `client`. */
export async function meshOf(yaml: string, options: CreateMeshOptions = {}): Promise<TestMesh> {
  const source: MemorySource = memorySource(texts(yaml));
  const events: MeshEvent[] = [];
  const mesh = await createMesh({
    policy: source,
    onEvent: (event) => events.push(event),
    ...options,
    workload: { name: 'client', namespace: 'default', ...options.workload },
  });
  return {
    ...mesh,
    get adminUrl() {
      return mesh.adminUrl;
    },
    events,
    set: (next) => source.set(texts(next)),
    [Symbol.asyncDispose]: () => mesh.close({ graceMs: 1000 }),
  };
}

/** A service of the mesh with endpoints on loopback: `ports`, or ports with labels. */
export function serviceEntry(
  host: string,
  endpoints: readonly (
    number | { readonly port: number; readonly labels?: Record<string, string>; readonly locality?: string; readonly weight?: number }
  )[],
  { port = 80, protocol = 'HTTP' }: { readonly port?: number; readonly protocol?: string } = {},
): string {
  const lines = endpoints.map((given) => {
    const endpoint = typeof given === 'number' ? { port: given } : given;
    return `  - ${JSON.stringify({
      address: '127.0.0.1',
      ports: { main: endpoint.port },
      ...('labels' in endpoint ? { labels: endpoint.labels } : {}),
      ...('locality' in endpoint ? { locality: endpoint.locality } : {}),
      ...('weight' in endpoint ? { weight: endpoint.weight } : {}),
    })}`;
  });
  return `---
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: { name: ${host.replaceAll('.', '-')}, namespace: default }
spec:
  hosts: [${host}]
  location: MESH_INTERNAL
  resolution: STATIC
  ports: [{ number: ${port}, name: main, protocol: ${protocol} }]
  endpoints:
${lines.join('\n')}
`;
}

/** A VirtualService: `http` is its YAML list, indented by two. */
export function virtualService(host: string, http: string): string {
  return `---
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: { name: ${host.replaceAll('.', '-')}, namespace: default }
spec:
  hosts: [${host}]
  http:
${indent(http, 2)}
`;
}

/** A DestinationRule: `rest` is the YAML below `host`. */
export function destinationRule(host: string, rest: string): string {
  return `---
apiVersion: networking.istio.io/v1
kind: DestinationRule
metadata: { name: ${host.replaceAll('.', '-')}, namespace: default }
spec:
  host: ${host}
${indent(rest, 2)}
`;
}

/** YAML written inside a template literal, moved to where it belongs: its first line may stand at the quote, the others below it. */
function indent(text: string, by: number): string {
  const [first = '', ...rest] = text.split('\n').filter((line) => line.trim() !== '');
  const common = Math.min(...rest.map((line) => line.search(/\S/)));
  const leftmost = rest.find((line) => line.search(/\S/) === common) ?? '';
  // What hangs below a first line that opens a list item belongs to that item.
  const shift = first.startsWith('- ') && !leftmost.trim().startsWith('- ') ? common - 2 : common;
  const moved = first.startsWith(' ') || rest.length === 0 || common <= 2 ? rest : rest.map((line) => line.slice(shift));
  return [first.trim(), ...moved].map((line) => ' '.repeat(by) + line).join('\n');
}
