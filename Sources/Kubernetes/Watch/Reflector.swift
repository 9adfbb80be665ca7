// Reflector: keeps its owner in step with one collection of objects, as client-go's does.
//
//        +-> find the kind -> list, page by page -> watch from the list's version -+-> watch again from the last version
//        |                                                                         |   (ended, cut, silent, refused)
//        +-------------- 410, a line that cannot be read, 404 <--------------------+
//
// Everything happens in the task that calls `run`; `handle` is awaited, so a slow owner slows the stream down to the server's
// socket. After any failure comes a wait (`Backoff`). A watch has two tasks: one reads, one ends it when it is silent for too
// long.
//
// Source of truth: https://kubernetes.io/docs/reference/using-api/api-concepts/ ("Efficient detection of changes",
// "Retrieving large results sets in chunks", "410 Gone responses").

public import Logging

/// Keeps a collection of objects in step with the API server. Safe to use from any task; one `run` at a time.
public final class Reflector<Decoder: ObjectDecoder>: Sendable {
    public typealias Object = Decoder.Object

    let client: KubernetesClient
    let group: String
    let kind: String
    let scope: WatchScope
    let decoder: Decoder
    let settings: ReflectorSettings
    let logger: Logger
    let handle: @Sendable (ReflectorUpdate<Object>) async -> Void

    /// `handle` gets the updates in order, one at a time; the next bytes are read when it returns.
    public init(
        client: KubernetesClient, group: String, kind: String, scope: WatchScope = WatchScope(), decoder: Decoder,
        settings: ReflectorSettings = ReflectorSettings(), logger: Logger,
        handle: @escaping @Sendable (ReflectorUpdate<Object>) async -> Void
    ) {
        self.client = client
        self.group = group
        self.kind = kind
        self.scope = scope
        self.decoder = decoder
        self.settings = settings
        self.logger = logger
        self.handle = handle
    }

    /// Lists and watches until the task is cancelled.
    public func run() async {
        var run = ReflectorRun(self)
        await run.run()
    }
}

/// One `run`: what it knows between two calls.
struct ReflectorRun<Decoder: ObjectDecoder> {
    let reflector: Reflector<Decoder>
    var settings: ReflectorSettings { reflector.settings }
    var backoff: Backoff
    /// Of lines that cannot be read: lists that succeed between two of them must not reset it.
    var garbageBackoff: Backoff
    var garbageAt: ContinuousClock.Instant?
    /// The text that was told with `.failing`; nil: no trouble.
    var failingText: String?
    var isUnserved = false
    /// When a kind that had been served was first missed.
    var missingSince: ContinuousClock.Instant?
    var wasServed = false
    /// Watches in a row that ended by 410 or by a cut before they said anything.
    var fruitlessWatches = 0

    init(_ reflector: Reflector<Decoder>) {
        self.reflector = reflector
        backoff = Backoff(first: reflector.settings.backoffFirst, max: reflector.settings.backoffMax)
        garbageBackoff = backoff
    }

    mutating func run() async {
        while !Task.isCancelled {
            do throws(KubernetesError) {
                let resource = try await find()
                let version = try await list(resource)
                try await watch(resource, from: version)
            } catch {
                await pause(after: error)
            }
        }
    }

    // MARK: - Telling

    func tell(_ update: ReflectorUpdate<Decoder.Object>) async {
        if !Task.isCancelled { await reflector.handle(update) }
    }

    mutating func recovered() async {
        missingSince = nil
        guard failingText != nil else { return }
        failingText = nil
        await tell(.recovered)
    }

    mutating func failing(_ error: KubernetesError) async {
        let text = error.description
        guard text != failingText, !Task.isCancelled else { return }
        failingText = text
        await tell(.failing(error))
    }

    /// Tells the error and waits.
    mutating func pause(after error: KubernetesError) async {
        if Task.isCancelled { return }
        if error.cause == .kindNotServed {
            await missing(error)
            return
        }
        missingSince = nil
        await failing(error)
        await sleep(backoff.next(retryAfterNanoseconds: error.retryAfterNanoseconds))
    }

    private mutating func missing(_ error: KubernetesError) async {
        let since = missingSince ?? .now
        missingSince = since
        if wasServed, ContinuousClock.now - since < settings.vanishedAfter {
            await failing(error)
            await sleep(min(backoff.next(), settings.vanishedAfter, settings.unservedInterval))
            return
        }
        // A definite answer ends the trouble.
        await recovered()
        missingSince = since
        if !isUnserved {
            isUnserved = true
            wasServed = false
            await tell(.unserved)
        }
        backoff.reset()
        await sleep(settings.unservedInterval * Double.random(in: 0.5..<1.5))
    }

    func sleep(_ duration: Duration) async { try? await Task.sleep(for: duration) }

    // MARK: - Finding

    private func find() async throws(KubernetesError) -> APIResource {
        let (client, group, kind) = (reflector.client, reflector.group, reflector.kind)
        let preferred = try await client.resource(group: group, version: nil, kind: kind)
        guard !settings.versions.isEmpty, settings.versions.first != preferred.version else { return preferred }
        let served = try await client.servedVersions(group: group, kind: kind)
        guard let wanted = settings.versions.first(where: { served.contains($0) }) else { return preferred }
        return try await client.resource(group: group, version: wanted, kind: kind)
    }

    /// A 404 of a collection's path: discovery is out of date, and nothing more is known.
    func vanished(_ resource: APIResource, _ error: KubernetesError) async -> KubernetesError {
        guard error.statusCode == 404, !error.isObjectMissing else { return error }
        await reflector.client.discovery.forget(group: resource.group)
        return KubernetesError(
            call: KubernetesCall(verb: "find", group: reflector.group, resource: reflector.kind), cause: .kindNotServed)
    }
}
