import type { Resolver } from '@inmesh/core';
import type { Workload } from '@inmesh/policy';
import type { PolicySource } from '@inmesh/policy/source';

/** Where this process is, as a registry sees it, and who says so (`Consul agent`). What it does not know is left out. */
export interface Whereabouts extends Partial<Pick<Workload, 'locality' | 'network' | 'node'>> {
  readonly from: string;
}

/**
 * A place where services and their endpoints are registered: Kubernetes, Consul, a registry of our own. What one does not know or
 * cannot say others may; traffic goes on with what was said last.
 */
export interface Registry {
  /** For people and status, such as `consul http://127.0.0.1:8500`; without secrets. */
  readonly name: string;
  /** Endpoints of services, from the first call on: a process follows only what it calls. */
  readonly resolver: Resolver;
  /** The services it knows, as resources (Service, ServiceEntry) without members. Left out: it knows endpoints of services the policy declares. */
  readonly services?: PolicySource;
  /** What is wrong with it at the moment, a sentence; '' = nothing. */
  readonly trouble: () => string;
  /** Asked before the mesh starts, where nobody else says it. May fail or take too long: then it is not said. */
  readonly about?: () => Promise<Whereabouts>;
  /** The mesh of `me` is up: makes this process known there, if it was asked to. Never throws; failures are retried and told by `trouble`. */
  readonly join?: (me: Workload) => void;
  /** The mesh is about to close: nobody shall be sent here any more. Resolves when the registry knows, or after a short while. */
  readonly leave?: () => Promise<void>;
  /** Frees what it holds; watches are closed by whoever opened them. */
  readonly close?: () => void;
}
