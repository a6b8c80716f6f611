// Metrics of a role in Prometheus text form: requests by route and outcome, their time, and gauges the role adds.
// Labels come from closed tables only (routes, error codes); never names, addresses or values.
import { Counter, Gauge, Histogram, Registry } from 'prom-client';
import type { Role } from '../model/roles.ts';
import type { Clock } from '../runtime/clock.ts';
import type { RouteName } from '../wire/routes.ts';

export class RoleMetrics {
  readonly #registry = new Registry();
  readonly #clock: Clock;
  readonly #requests: Counter<'route' | 'outcome'>;
  readonly #seconds: Histogram<'route'>;
  readonly #handshakes: Counter;

  constructor(role: Role, clock: Clock) {
    this.#clock = clock;
    this.#registry.setDefaultLabels({ role });
    const registers = [this.#registry];
    this.#requests = new Counter({
      name: 'opera_requests_total',
      help: 'Requests answered, by route and outcome (ok or error code).',
      labelNames: ['route', 'outcome'],
      registers,
    });
    this.#seconds = new Histogram({
      name: 'opera_request_seconds',
      help: 'Time from the last header to the answer, in seconds.',
      labelNames: ['route'],
      buckets: [0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30],
      registers,
    });
    this.#handshakes = new Counter({
      name: 'opera_handshakes_refused_total',
      help: 'TLS handshakes that failed: strangers, other networks, expired certificates.',
      registers,
    });
    const started = clock.monotonicMs();
    this.gauge(
      'opera_uptime_seconds',
      'Seconds since the role started.',
      () => (clock.monotonicMs() - started) / 1_000,
    );
    this.gauge('opera_resident_bytes', 'Resident memory of the process.', () => process.memoryUsage.rss());
  }

  /** Starts timing one request; the answer is to be called once with its outcome. */
  begin(route: RouteName): (outcome: string) => void {
    const start = this.#clock.monotonicMs();
    return (outcome) => {
      this.#requests.inc({ route, outcome });
      this.#seconds.observe({ route }, (this.#clock.monotonicMs() - start) / 1_000);
    };
  }

  handshakeFailed(): void {
    this.#handshakes.inc();
  }

  /** A gauge read at each scrape. `name` ends in its unit. */
  gauge(name: string, help: string, read: () => number): void {
    new Gauge({
      name,
      help,
      registers: [this.#registry],
      collect() {
        this.set(read());
      },
    });
  }

  text(): Promise<string> {
    return this.#registry.metrics();
  }
}
