// Filter: a CEL expression over `req` (the body) and `res` (the target's apiVersion, kind and metadata), compiled once.
//
// The variables and rules are those of Flux's Receivers (fluxcd/pkg runtime/cel). Filters run on trigger workers, never on a loop, and
// their cost is bounded: one that costs too much is an error of its own.

internal import CEL

/// Why a filter cannot be compiled or evaluated. Texts are for operators.
public struct FilterError: Error, Sendable, Equatable, CustomStringConvertible {
    public let message: String
    public var description: String { message }
}

/// A compiled filter. Equal to one of the same text. Safe from any thread.
public struct Filter: Sendable, Equatable, CustomStringConvertible {
    public let source: String
    private let program: CELProgram
    private let hasClaims: Bool

    /// `hasClaims`: the receiver is proven by an ID token, whose claims the filter may read as well.
    public init(_ source: String, hasClaims: Bool = false) throws(FilterError) {
        self.source = source
        self.hasClaims = hasClaims
        let variables = hasClaims ? ["res", "req", "claims"] : ["res", "req"]
        do { program = try CELProgram.compile(source, variables: variables, expecting: .bool) } catch {
            throw FilterError(message: error.message)
        }
    }

    /// Whether the expression may look at the target: if not, the target need not be read.
    public var readsResource: Bool { source.contains("res") }

    public var description: String { source }

    public static func == (a: Filter, b: Filter) -> Bool { a.source == b.source && a.hasClaims == b.hasClaims }

    public func accepts(_ request: FilterRequest, _ resource: FilterResource) throws(FilterError) -> Bool {
        var variables = ["req": request.value, "res": resource.value]
        if hasClaims { variables["claims"] = request.claims ?? .map(CELMap()) }
        do { return try program.evaluateBool(variables) } catch {
            throw FilterError(message: error.message)
        }
    }
}

/// `req`: the body where its type says JSON, else an empty map. Made once for a delivery.
public struct FilterRequest: Sendable {
    let value: CELValue
    /// Of the ID token that proved the delivery.
    var claims: CELValue?

    /// nil when the body should be a JSON object and is none. Of some senders filters see what their envelope holds.
    public init?(_ request: InboundRequest, sender: SenderType) {
        if sender == .genericOIDC, let stored = IDToken.storedClaims(request) {
            let bytes = stored.serialized
            claims = unsafe bytes.withUnsafeBytes { bytes in unsafe try? CELValue.parseJSON(bytes) }
        }
        if let inner = SenderTable.filterBody(sender, request) {
            let bytes = inner.serialized
            guard let parsed = unsafe bytes.withUnsafeBytes({ bytes in unsafe try? CELValue.parseJSON(bytes) }) else {
                return nil
            }
            value = parsed
            return
        }
        guard request.saysJSON else {
            value = .map(CELMap())
            return
        }
        let parsed = unsafe request.body.withUnsafeBytes { body in unsafe try? CELValue.parseJSON(body) }
        guard let parsed, case .map = parsed else { return nil }
        value = parsed
    }
}

/// `res`: an object without spec and status.
public struct FilterResource: Sendable {
    let value: CELValue

    /// `metadata` is a JSON object; what cannot be read becomes an empty map.
    public init(apiVersion: String, kind: String, metadata: some Collection<UInt8>) {
        let json = Array(metadata)
        let parsed = unsafe json.withUnsafeBytes { bytes in unsafe try? CELValue.parseJSON(bytes) }
        value = .map(
            CELMap([
                (.string("apiVersion"), .string(apiVersion)), (.string("kind"), .string(kind)),
                (.string("metadata"), parsed ?? .map(CELMap())),
            ]))
    }

    /// What is known of a target that was not read: its names.
    public init(_ target: TargetReference) {
        value = .map(
            CELMap([
                (.string("apiVersion"), .string(target.apiVersion ?? "")), (.string("kind"), .string(target.kind)),
                (
                    .string("metadata"),
                    .map(
                        CELMap([
                            (.string("name"), .string(target.name)), (.string("namespace"), .string(target.namespace)),
                        ]))
                ),
            ]))
    }
}
