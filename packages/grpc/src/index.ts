export { grpcJs } from './grpc-js.ts';
