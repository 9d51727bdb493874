import { describe, expect, it } from 'vitest';
import { detectWorkload, type Surroundings } from './environment.ts';

const K8S = '/var/run/secrets/kubernetes.io/serviceaccount';
const MACHINE = '/var/lib/istio/envoy/cluster.env';

const around = (env: Record<string, string>, files: Record<string, string> = {}, hostname = 'laptop'): Surroundings => ({
  env,
  read: (path) => files[path],
  hostname: () => hostname,
});
const detect = (...args: Parameters<typeof around>) => detectWorkload({}, around(...args));
/** A token as Kubernetes projects it into a pod; only its claims are looked at. */
const token = (claims: object): string => `e30.${Buffer.from(JSON.stringify({ 'kubernetes.io': claims })).toString('base64url')}.sig`;
const froms = (facts: Readonly<Record<string, { readonly from: string }>>): Record<string, string> =>
  Object.fromEntries(Object.entries(facts).map(([field, { from }]) => [field, from]));

describe('who this process is', () => {
  it('is told by Istio’s variables and the pod’s labels, and each field says by whom', () => {
    const { workload, facts } = detect(
      {
        ISTIO_META_WORKLOAD_NAME: 'reviews-v2',
        POD_NAMESPACE: 'shop',
        SERVICE_ACCOUNT: 'reviews-sa',
        ISTIO_META_CLUSTER_ID: 'east',
        ISTIO_META_NETWORK: 'net1',
        NODE_NAME: 'node-7',
      },
      { '/etc/istio/pod/labels': 'app="reviews"\nversion="v2"\nistio-locality="eu.eu-1.a"\nnote="a \\"b\\" c"\n' },
    );
    expect(workload).toEqual({
      name: 'reviews-v2',
      namespace: 'shop',
      labels: { app: 'reviews', version: 'v2', 'istio-locality': 'eu.eu-1.a', note: 'a "b" c' },
      locality: { region: 'eu', zone: 'eu-1', subzone: 'a' },
      network: 'net1',
      cluster: 'east',
      serviceAccount: 'reviews-sa',
      node: 'node-7',
    });
    expect(facts).toEqual({
      name: { value: 'reviews-v2', from: 'ISTIO_META_WORKLOAD_NAME' },
      namespace: { value: 'shop', from: 'POD_NAMESPACE' },
      serviceAccount: { value: 'reviews-sa', from: 'SERVICE_ACCOUNT' },
      node: { value: 'node-7', from: 'NODE_NAME' },
      cluster: { value: 'east', from: 'ISTIO_META_CLUSTER_ID' },
      network: { value: 'net1', from: 'ISTIO_META_NETWORK' },
      locality: { value: 'eu/eu-1/a', from: 'label istio-locality' },
      canonicalService: { value: 'reviews', from: 'label app' },
      canonicalRevision: { value: 'v2', from: 'label version' },
      'label app': { value: 'reviews', from: '/etc/istio/pod/labels' },
      'label version': { value: 'v2', from: '/etc/istio/pod/labels' },
      'label istio-locality': { value: 'eu.eu-1.a', from: '/etc/istio/pod/labels' },
      'label note': { value: 'a "b" c', from: '/etc/istio/pod/labels' },
    });
  });

  it('is told by Kubernetes’ own files, where nobody wrote anything into the Deployment', () => {
    const files = {
      [`${K8S}/namespace`]: 'shop\n',
      [`${K8S}/token`]: `${token({ namespace: 'shop', pod: { name: 'reviews-v2-7d9c5b6f4d-x2x9k' }, node: { name: 'node-7' }, serviceaccount: { name: 'reviews-sa' } })}\n`,
    };
    const { workload, facts } = detect({}, files, 'reviews-v2-7d9c5b6f4d-x2x9k');
    expect(workload).toMatchObject({ name: 'reviews-v2', namespace: 'shop', serviceAccount: 'reviews-sa', node: 'node-7' });
    expect(froms(facts)).toMatchObject({ name: `${K8S}/token`, namespace: `${K8S}/namespace`, node: `${K8S}/token` });
    for (const broken of [
      '',
      'x',
      'a.b.c',
      token({ pod: 'x', serviceaccount: { name: 7 } }),
      `.${Buffer.from('null').toString('base64url')}.`,
    ])
      expect(detect({}, { [`${K8S}/token`]: broken }).workload).toMatchObject({ name: 'laptop', serviceAccount: '' });
  });

  it('is told by a machine’s cluster.env, which variables of the process overrule', () => {
    const file = [
      "ISTIO_META_CLUSTER_ID='Kubernetes'",
      "ISTIO_META_WORKLOAD_NAME='vm-reviews'",
      'ISTIO_METAJSON_LABELS=\'{"app":"reviews","version":"v1","n":1}\'',
      "CANONICAL_SERVICE='the-reviews'",
      'CANONICAL_REVISION=v9',
      'export ISTIO_META_NETWORK="vm \\"net\\""',
      "POD_NAMESPACE='vm'",
      "SERVICE_ACCOUNT='vm-sa'",
      '# nothing',
    ].join('\n');
    const { workload, facts } = detect({ POD_NAMESPACE: 'shop' }, { [MACHINE]: file });
    expect(workload).toMatchObject({
      name: 'vm-reviews',
      namespace: 'shop',
      cluster: 'Kubernetes',
      network: 'vm "net"',
      serviceAccount: 'vm-sa',
      labels: {
        app: 'reviews',
        version: 'v1',
        'service.istio.io/canonical-name': 'the-reviews',
        'service.istio.io/canonical-revision': 'v9',
      },
    });
    expect(facts).toMatchObject({
      name: { from: `ISTIO_META_WORKLOAD_NAME in ${MACHINE}` },
      namespace: { from: 'POD_NAMESPACE' },
      canonicalService: { value: 'the-reviews' },
      canonicalRevision: { value: 'v9' },
      'label app': { from: `ISTIO_METAJSON_LABELS in ${MACHINE}` },
    });
    expect(detect({ ISTIO_CLUSTER_CONFIG: '/etc/my.env' }, { '/etc/my.env': 'SERVICE_ACCOUNT=mine' }).workload.serviceAccount).toBe('mine');
  });

  it('is told by OpenTelemetry’s variables', () => {
    const { workload, facts } = detect({
      OTEL_SERVICE_NAME: 'cart',
      OTEL_RESOURCE_ATTRIBUTES:
        'service.name=other,service.namespace=my%20shop,service.version=1.2,cloud.region=eu,cloud.availability_zone=eu-1,k8s.cluster.name=east',
    });
    expect(workload).toMatchObject({
      name: 'cart',
      namespace: 'my shop',
      cluster: 'east',
      locality: { region: 'eu', zone: 'eu-1', subzone: '' },
    });
    expect(facts).toMatchObject({
      canonicalService: { value: 'cart', from: 'the name' },
      canonicalRevision: { value: '1.2' },
      cluster: { from: 'k8s.cluster.name in OTEL_RESOURCE_ATTRIBUTES' },
    });
    // A version the labels know already is theirs.
    expect(detect({ INMESH_LABELS: 'version=v3', OTEL_RESOURCE_ATTRIBUTES: 'service.version=1.2' }).facts['canonicalRevision']).toEqual({
      value: 'v3',
      from: 'label version',
    });
  });

  it('is what owns the pod: by the labels its controller put on it, else by the look of its name', () => {
    const named = (pod: string, labels = ''): string => detect({ POD_NAME: pod }, { '/etc/podinfo/labels': labels }).workload.name;
    expect(named('reviews-v2-7d9c5b6f4d-x2x9k')).toBe('reviews-v2');
    expect(named('odd-12345-abcde', 'pod-template-hash="12345"')).toBe('odd');
    expect(named('database-0', 'statefulset.kubernetes.io/pod-name="database-0"\ncontroller-revision-hash="database-5d"')).toBe('database');
    expect(named('agent-x2x9k', 'controller-revision-hash="57b"')).toBe('agent');
    expect(named('nightly-28001-x2x9k', 'batch.kubernetes.io/job-name="nightly-28001"')).toBe('nightly-28001');
    expect(named('database-0')).toBe('database-0');
    expect(detect({}, {}, 'reviews-7d9c5b6f4d-x2x9k').facts['name']).toEqual({ value: 'reviews', from: 'the host name' });
    expect(detect({ ISTIO_META_OWNER: 'kubernetes://apis/apps/v1/namespaces/shop/deployments/reviews', POD_NAME: 'x' }).workload.name).toBe(
      'reviews',
    );
  });

  it('knows its place by the labels of topology that newer Kubernetes copies to pods', () => {
    const labels = 'topology.kubernetes.io/region="eu"\ntopology.kubernetes.io/zone="eu-1"\ntopology.istio.io/subzone="rack-3"\n';
    const { workload, facts } = detect({}, { '/etc/podinfo/labels': labels });
    expect(workload.locality).toEqual({ region: 'eu', zone: 'eu-1', subzone: 'rack-3' });
    expect(facts['locality']).toEqual({ value: 'eu/eu-1/rack-3', from: 'labels topology.kubernetes.io/region and /zone' });
    expect(detect({ INMESH_LOCALITY: 'us/us-1' }, { '/etc/podinfo/labels': labels }).facts['locality']).toEqual({
      value: 'us/us-1',
      from: 'INMESH_LOCALITY',
    });
    expect(detect({}).facts['locality']).toEqual({ value: '', from: 'nobody' });
  });

  it('obeys inmesh’s own variables before others, and the program before all', () => {
    const env = { INMESH_WORKLOAD: 'mine', ISTIO_META_WORKLOAD_NAME: 'theirs', INMESH_LABELS: 'app=mine, version=v3', INMESH_NODE: 'n', INMESH_CLUSTER: 'c', INMESH_NETWORK: 'w' }; // prettier-ignore
    expect(detect(env, { '/etc/podinfo/labels': 'app="theirs"\nteam="a"' })).toMatchObject({
      workload: { name: 'mine', labels: { app: 'mine', version: 'v3', team: 'a' }, node: 'n', cluster: 'c', network: 'w' },
      facts: { 'label app': { from: 'INMESH_LABELS' }, 'label team': { from: '/etc/podinfo/labels' } },
    });
    const given = detectWorkload({ name: 'given', labels: { app: 'given' } }, around(env));
    expect(given.workload).toMatchObject({ name: 'given', labels: { app: 'given' }, node: 'n' });
    expect(given.facts).toMatchObject({
      name: { value: 'given', from: 'createMesh({ workload })' },
      canonicalService: { value: 'given', from: 'label app' },
    });
  });

  it('is something even where nobody says anything', () => {
    expect(detect({})).toMatchObject({
      workload: { name: 'laptop', namespace: 'default', labels: {}, serviceAccount: '' },
      facts: {
        name: { from: 'the host name' },
        namespace: { from: 'the default' },
        serviceAccount: { value: '', from: 'nobody' },
        canonicalService: { value: 'laptop', from: 'the name' },
        canonicalRevision: { value: 'latest', from: 'the default' },
      },
    });
  });
});
