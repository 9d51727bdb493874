import { Exit } from '../exit.ts';
import type { Io } from '../io.ts';
import { paintFor } from '../output/paint.ts';
import { type ConsoleServer, type ConsoleServerOptions, startConsole } from './server.ts';

export interface ConsoleArgs extends ConsoleServerOptions {
  /** In the browser, if a person is there to look. */
  readonly open: boolean;
  readonly output: 'text' | 'json';
}

/** `inmesh console`: serves it until it is asked to end. */
export async function runConsole({ open, output, ...options }: ConsoleArgs, io: Io): Promise<Exit> {
  let server: ConsoleServer;
  try {
    server = await startConsole(options);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).syscall === undefined) throw error;
    io.stderr.write(`inmesh: the console cannot be served: ${(error as Error).message}; name another --port or --host\n`);
    return Exit.CANNOT_CREATE;
  }
  const { url } = server;
  if (!/^(?:127\.|localhost$|::1$)/.test(options.host)) {
    io.stderr.write('inmesh: what the console shows goes over the network unencrypted; better tunnel to 127.0.0.1\n');
  }
  io.stdout.write(
    output === 'json' ? `${JSON.stringify({ url })}\n` : `${paintFor(io, 'stdout')('green', '✔')} the console is at ${url}\n`,
  );
  if (open && io.tty.stdout) io.open(url);
  await io.stopped();
  await server.close();
  return Exit.OK;
}
