export { createGrpcClients, type GrpcClientOptions, type GrpcClients } from './client.ts';
