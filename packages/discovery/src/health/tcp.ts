import { connect } from 'node:net';
import type { Ask } from './ask.ts';

/** Healthy if a connection can be made; nothing is sent on it. */
export const askTcp: Ask<'tcp'> = (_, to, signal) =>
  new Promise((resolve, reject) => {
    const socket = connect(to);
    socket.unref();
    const give = (): void => void socket.destroy(new Error('no connection in time'));
    signal.addEventListener('abort', give, { once: true });
    socket.once('connect', () => {
      socket.destroy();
      resolve();
    });
    socket.once('error', reject);
    socket.once('close', () => {
      signal.removeEventListener('abort', give);
      reject(new Error('closed before it was connected'));
    });
  });
