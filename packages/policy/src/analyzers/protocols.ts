import { labelOf } from '../resolve/order.ts';
import { parseProtocol } from '../kinds/parts/protocol.ts';
import type { Analyzer } from './analyzer.ts';

/** Two ServiceEntries that give a port of one host different protocols (IST0177). */
export const conflictingProtocols: Analyzer = (world, tell) => {
  const first = new Map<string, { readonly protocol: string; readonly label: string }>();
  for (const entry of world.all('ServiceEntry'))
    for (const host of entry.spec.hosts)
      for (const [index, { number, protocol }] of entry.spec.ports.entries()) {
        const key = `${host.toLowerCase()}:${number}`;
        const other = first.get(key);
        if (other === undefined) first.set(key, { protocol, label: labelOf(entry) });
        else if (other.protocol !== protocol)
          tell(
            entry,
            'warning',
            'IST0177',
            ['spec', 'ports', index, 'protocol'],
            `${other.label} says that ${key} speaks ${other.protocol}, not ${protocol}`,
            'agree on one protocol',
          );
      }
};

/** Ports of Services whose names do not tell a protocol (IST0118). */
export const unnamedProtocols: Analyzer = (world, tell) => {
  for (const service of world.all('Service'))
    for (const [index, { name, port, protocol, appProtocol }] of service.spec.ports.entries()) {
      if (protocol !== 'TCP' || appProtocol !== undefined || speaks(name ?? '')) continue;
      tell(
        service,
        'info',
        'IST0118',
        ['spec', 'ports', index, ...(name === undefined ? [] : ['name'])],
        `the name "${name ?? ''}" of port ${port} does not tell its protocol`,
        'begin the name with the protocol, such as http-web or grpc, or set appProtocol',
      );
    }
};

/** `http`, `http-web`, `grpc-web`, `grpc-web-x`. */
const speaks = (name: string): boolean =>
  parseProtocol(name) !== undefined || name.startsWith('grpc-web-') || parseProtocol(name.split('-', 1)[0] ?? '') !== undefined;
