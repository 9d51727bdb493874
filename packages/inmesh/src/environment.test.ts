import { describe, expect, it } from 'vitest';
import { detectWorkload } from './environment.ts';

const files = (content: Record<string, string>) => (path: string) => content[path];
const none = files({});

describe('who this process is', () => {
  it('is told by Istio’s variables and the pod’s files', () => {
    expect(
      detectWorkload(
        {
          ISTIO_META_WORKLOAD_NAME: 'reviews',
          POD_NAMESPACE: 'shop',
          SERVICE_ACCOUNT: 'reviews-sa',
          ISTIO_META_CLUSTER_ID: 'east',
          ISTIO_META_NETWORK: 'net1',
          NODE_NAME: 'node-7',
        },
        files({ '/etc/istio/pod/labels': 'app="reviews"\nversion="v2"\ntopology.istio.io/locality="eu/eu-1/a"\n' }),
      ),
    ).toEqual({
      name: 'reviews',
      namespace: 'shop',
      labels: { app: 'reviews', version: 'v2', 'topology.istio.io/locality': 'eu/eu-1/a' },
      locality: { region: 'eu', zone: 'eu-1', subzone: 'a' },
      network: 'net1',
      cluster: 'east',
      serviceAccount: 'reviews-sa',
      node: 'node-7',
    });
  });

  it('is told by OpenTelemetry’s variables', () => {
    expect(
      detectWorkload({ OTEL_SERVICE_NAME: 'cart', OTEL_RESOURCE_ATTRIBUTES: 'service.name=other,service.namespace=my%20shop' }, none),
    ).toEqual({
      name: 'cart',
      namespace: 'my shop',
    });
  });

  it('is guessed from the pod’s name, without the hashes of its replica set', () => {
    expect(detectWorkload({ POD_NAME: 'reviews-v2-7d9c5b6f4d-x2x9k' }, none).name).toBe('reviews-v2');
    expect(detectWorkload({ POD_NAME: 'database-0' }, none).name).toBe('database-0');
  });

  it('takes the namespace of the service account where nothing else says one', () => {
    expect(
      detectWorkload({ POD_NAME: 'a' }, files({ '/var/run/secrets/kubernetes.io/serviceaccount/namespace': 'prod\n' })).namespace,
    ).toBe('prod');
  });

  it('obeys inmesh’s own variables first', () => {
    expect(
      detectWorkload(
        { INMESH_WORKLOAD: 'mine', OTEL_SERVICE_NAME: 'theirs', INMESH_LABELS: 'app=mine, version=v3', INMESH_LOCALITY: 'us/us-1' },
        none,
      ),
    ).toEqual({ name: 'mine', labels: { app: 'mine', version: 'v3' }, locality: { region: 'us', zone: 'us-1', subzone: '' } });
  });
});
