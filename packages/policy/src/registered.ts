/** Annotation of a Service or ServiceEntry: the name under which its members are registered in Consul. */
export const CONSUL_SERVICE_ANNOTATION = 'inmesh.dev/consul-service';
