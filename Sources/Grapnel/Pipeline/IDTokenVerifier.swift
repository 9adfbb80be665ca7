// IDTokenVerifier: verifies ID tokens with the keys of their issuers, which are fetched once and kept.
//
// Upstream fetches discovery document and keys for every request. Here a token with a known key costs no call; one with an unknown
// key makes us look again, at most once in `unknownKeySeconds`, so that nobody can have us hammer an issuer. Documents that the settings
// pin (`oidc.issuers`) come from there alone.

internal import CLinuxIO
internal import Delivery
internal import Logging
internal import Trigger

actor IDTokenVerifier {
    private struct Source {
        var keys: JWKS
        var advertised: [String]
        var fetchedAt: UInt64
    }

    private static let keptNanoseconds: UInt64 = 600 * 1_000_000_000
    private static let unknownKeyNanoseconds: UInt64 = 30 * 1_000_000_000
    /// Issuers whose keys are kept; tenants name them.
    private static let sourcesMax = 1_000

    private let pinned: [String: SystemSettings.Issuer]
    private let client: OutboundClient
    private let logger: Logger
    private var sources: [String: Source] = [:]
    private var fetches: [String: Task<Source?, Never>] = [:]

    init(pinned: [String: SystemSettings.Issuer], client: OutboundClient, logger: Logger) {
        self.pinned = pinned
        self.client = client
        self.logger = logger
    }

    /// The claims of a good token; nil, with the reason in the log, for any other.
    func verify(_ demand: IDTokenDemand) async -> JSONValue? {
        let now = cl_now_realtime()
        do throws(IDTokenFailure) {
            let token = try IDToken(demand.token)
            for place in places(demand.keys) {
                guard let source = await source(place, for: token) else { continue }
                if !source.keys.mayVerify(token), places(demand.keys).count > 1 { continue }
                return try token.verify(keys: source.keys, demand: demand, advertised: source.advertised, now: now)
            }
            logger.notice(
                "ID token refused", metadata: ["reason": "verify OIDC token: the issuer's keys cannot be had"])
        } catch {
            logger.notice("ID token refused", metadata: ["reason": "\(error.text)"])
        }
        return nil
    }

    private enum Place: Hashable {
        case discovery(String)
        case keys(String)

        var name: String {
            switch self {
            case .discovery(let name), .keys(let name): name
            }
        }
    }

    private func places(_ keys: IDTokenDemand.Keys) -> [Place] {
        switch keys {
        case .discovery(let issuer): [.discovery(issuer)]
        case .fixed(let urls): urls.map { .keys($0) }
        }
    }

    private func source(_ place: Place, for token: IDToken) async -> Source? {
        let now = cl_now_monotonic()
        if let known = sources[place.name] {
            let age = now - known.fetchedAt
            if age < Self.keptNanoseconds, known.keys.mayVerify(token) || age < Self.unknownKeyNanoseconds {
                return known
            }
        }
        if let running = fetches[place.name] { return await running.value }
        let task = Task { await self.fetch(place) }
        fetches[place.name] = task
        let fetched = await task.value
        fetches[place.name] = nil
        if let fetched {
            if sources.count >= Self.sourcesMax, sources[place.name] == nil { sources.removeAll() }
            sources[place.name] = fetched
        }
        // An issuer that is away for a moment: its known keys are still its keys.
        return fetched ?? sources[place.name]
    }

    private func fetch(_ place: Place) async -> Source? {
        do {
            var keysAt: String
            var advertised: [String] = []
            let pin = pinned[place.name]
            switch place {
            case .keys(let url): keysAt = pin?.jwks ?? url
            case .discovery(let issuer):
                let document = try await document(pin?.discovery ?? OIDCDiscovery.url(of: issuer))
                let discovery = try OIDCDiscovery(document, issuer: issuer)
                advertised = discovery.algorithms
                keysAt = pin?.jwks ?? discovery.keysURL
            }
            guard let keys = JWKS(try await document(keysAt)) else {
                throw OutboundClient.Failure(description: "is no key set")
            }
            return Source(keys: keys, advertised: advertised, fetchedAt: cl_now_monotonic())
        } catch {
            logger.warning(
                "the keys of a token issuer cannot be had", metadata: ["issuer": "\(place.name)", "error": "\(error)"])
            return nil
        }
    }

    /// A URL, or a file that the settings name.
    private func document(_ place: String) async throws -> JSONValue {
        let isRemote = place.hasPrefix("https://") || place.hasPrefix("http://")
        let bytes = isRemote ? try await client.get(place) : try Self.file(place)
        return try Self.parsed(bytes)
    }

    private static func file(_ path: String) throws -> [UInt8] { try SmallFile.read(path, bytesMax: 1 << 20).get() }

    private static func parsed(_ bytes: [UInt8]) throws -> JSONValue {
        guard let value = JSONValue(bytes) else { throw OutboundClient.Failure(description: "is no JSON") }
        return value
    }
}
