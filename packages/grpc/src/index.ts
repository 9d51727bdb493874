export { createGrpcClients, type GrpcClientOptions, type GrpcClients } from './client.ts';
export {
  createGrpcServers,
  type GrpcDrainOptions,
  type GrpcServers,
  type ServerCall,
  type ServerTools,
  type WrapOptions,
  type WrappedGrpcServer,
} from './server/index.ts';
