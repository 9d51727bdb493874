/**
 * The management server that @grpc/grpc-js-xds asks: `node xds.ts PORTS`. It knows one service, echo.example.com, with an endpoint at
 * each port, balanced round robin. Prints its port as JSON, ends with its parent.
 */
import { loadPackageDefinition, Server, ServerCredentials, type ServerDuplexStream, type ServiceClientConstructor } from '@grpc/grpc-js';
import { loadSync } from '@grpc/proto-loader';
import { fileURLToPath } from 'node:url';

interface DiscoveryRequest {
  readonly type_url: string;
  readonly response_nonce: string;
  readonly resource_names: readonly string[];
}

const ports = JSON.parse(process.argv[2]!) as number[];
const SERVICE = 'echo.example.com';
const ADS = { ads: {}, resource_api_version: 'V3' };
const type = (name: string) => `type.googleapis.com/${name}`;
const ROUTER = { '@type': type('envoy.extensions.filters.http.router.v3.Router') };
const lb = (port: number) => ({
  health_status: 'HEALTHY',
  load_balancing_weight: { value: 1 },
  endpoint: { address: { socket_address: { address: '127.0.0.1', port_value: port } } },
});

const RESOURCES: Readonly<Record<string, object>> = {
  [type('envoy.config.listener.v3.Listener')]: {
    name: SERVICE,
    api_listener: {
      api_listener: {
        '@type': type('envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager'),
        rds: { route_config_name: 'routes', config_source: ADS },
        http_filters: [{ name: 'router', typed_config: ROUTER }],
      },
    },
  },
  [type('envoy.config.route.v3.RouteConfiguration')]: {
    name: 'routes',
    virtual_hosts: [{ name: 'echo', domains: [SERVICE], routes: [{ match: { prefix: '' }, route: { cluster: 'echo' } }] }],
  },
  [type('envoy.config.cluster.v3.Cluster')]: {
    name: 'echo',
    type: 'EDS',
    lb_policy: 'ROUND_ROBIN',
    eds_cluster_config: { eds_config: ADS, service_name: 'echo' },
  },
  [type('envoy.config.endpoint.v3.ClusterLoadAssignment')]: {
    cluster_name: 'echo',
    endpoints: [{ locality: { region: 'r' }, load_balancing_weight: { value: 1 }, lb_endpoints: ports.map(lb) }],
  },
};

const protos = fileURLToPath(new URL('.', import.meta.resolve('@grpc/grpc-js-xds/deps/envoy-api/x')));
const definition = loadSync(
  [
    'service/discovery/v3/ads.proto',
    'extensions/filters/network/http_connection_manager/v3/http_connection_manager.proto',
    'extensions/filters/http/router/v3/router.proto',
    'config/listener/v3/listener.proto',
    'config/route/v3/route.proto',
    'config/cluster/v3/cluster.proto',
    'config/endpoint/v3/endpoint.proto',
  ].map((file) => `envoy/${file}`),
  {
    keepCase: true,
    enums: String,
    includeDirs: ['envoy-api', 'xds', 'googleapis', 'protoc-gen-validate'].map((folder) => `${protos}../${folder}`),
  },
);
const loaded = loadPackageDefinition(definition) as unknown as Record<'envoy', { service: { discovery: { v3: Record<string, unknown> } } }>;
const { service } = loaded.envoy.service.discovery.v3['AggregatedDiscoveryService'] as ServiceClientConstructor;

const server = new Server();
server.addService(service, {
  StreamAggregatedResources: (stream: ServerDuplexStream<DiscoveryRequest, object>) => {
    // The first request for a type has no nonce; what follows acknowledges, and nothing here ever changes.
    stream.on('data', ({ type_url, response_nonce }: DiscoveryRequest) => {
      const resource = RESOURCES[type_url];
      if (response_nonce === '' && resource !== undefined)
        stream.write({ version_info: '1', nonce: '1', type_url, resources: [{ '@type': type_url, ...resource }] });
    });
    stream.on('end', () => stream.end());
    stream.on('error', () => {});
  },
});
server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) => {
  if (error !== null) throw error;
  console.log(JSON.stringify([port]));
});
process.stdin.resume().on('end', () => process.exit(0));
