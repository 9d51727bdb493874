import type { Asks } from './ask.ts';
import { askGrpc } from './grpc.ts';
import { askHttp } from './http.ts';
import { askTcp } from './tcp.ts';

/** Those that go over the wire: all a caller can do. */
export const realAsks: Asks = { http: askHttp, tcp: askTcp, grpc: askGrpc };
