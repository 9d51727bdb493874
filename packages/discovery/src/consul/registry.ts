import type { Registry } from '../registry.ts';
import { ConsulClient } from './client.ts';
import { readAgent } from './instances.ts';
import type { NamesOptions } from './names.ts';
import { type ConsulRegistration, Registrar } from './registration.ts';
import { consulResolver, type ConsulParts } from './resolver.ts';
import { Seats } from './seats.ts';
import { consulServices } from './services.ts';
import { type ConsulConnection, consulSettings } from './settings.ts';
import { Troubles } from './trouble.ts';

export interface ConsulOptions extends ConsulConnection, NamesOptions {
  /** Its endpoints take calls when those of lower numbers are not healthy enough. Default 0. */
  readonly priority?: number;
  /** Make the services of its catalog known as `NAME.service.consul`. Default true; false: only endpoints, of services the policy declares. */
  readonly services?: boolean;
  /** Make this process known there while its mesh is up. */
  readonly register?: ConsulRegistration;
}

/** Services, endpoints and the own registration by Consul's HTTP API. Nothing is asked before it is used. */
export function consul(options: ConsulOptions = {}): Registry {
  const settings = consulSettings(options);
  const client = new ConsulClient(settings);
  const parts: ConsulParts = { client, seats: new Seats(settings.connections), troubles: new Troubles() };
  const registrar = options.register === undefined ? undefined : new Registrar(client, parts.troubles, options.register);
  return {
    name: settings.name,
    resolver: consulResolver(parts, options),
    ...(options.services === false ? {} : { services: consulServices(parts, options.domain) }),
    about: async () => ({ ...readAgent((await client.get('/agent/self')).body), from: 'Consul agent' }),
    trouble: () => parts.troubles.text,
    ...(registrar === undefined ? {} : { join: (me) => registrar.join(me), leave: () => registrar.leave() }),
    close: () => client.close(),
  };
}
