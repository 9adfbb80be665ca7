// SettingsTable: each setting that is a text, a number, a switch or a list of them: its name, its form, its bounds.
//
// The same table reads flags, variables and the file, so that they cannot drift apart. The hard ceilings stand here.

import Catalog
import Cluster
import HTTP

/// Why a value was refused. Says what would be right.
struct SettingError: Error, Equatable, CustomStringConvertible {
    let description: String
    init(_ description: String) { self.description = description }
}

struct Setting: Sendable {
    enum Form: Sendable {
        case value
        /// May be given several times; in the environment separated by commas.
        case list
        /// true or false.
        case toggle
    }

    /// As in the file: `maxBody`.
    let name: String
    let form: Form
    /// Whether values are file names, relative to the settings file when they stand in it.
    let isPath: Bool
    let apply: @Sendable (inout ServerSettings, [String]) throws(SettingError) -> Void

    /// `--max-body`.
    var flag: String { "--" + words.joined(separator: "-") }
    /// `GRAPNEL_MAX_BODY`.
    var variable: String { "GRAPNEL_" + words.map { $0.uppercased() }.joined(separator: "_") }

    private var words: [String] {
        var words = [""]
        for character in name {
            if character.isUppercase { words.append("") }
            words[words.count - 1] += character.lowercased()
        }
        return words
    }
}

enum SettingsTable {
    typealias Path<Value> = any WritableKeyPath<ServerSettings, Value> & Sendable

    static let all: [Setting] =
        [
            paths("manifests", \.manifests),
            path("dataDir", \.dataDirectory),
            custom("listen", .list) { settings, values throws(SettingError) in
                settings.listen = []
                settings.isListenGiven = true
                for value in values { settings.listen.append(try Endpoint(value)) }
            },
            custom("tlsListen", .list) { settings, values throws(SettingError) in
                settings.tlsListen = []
                for value in values { settings.tlsListen.append(try Endpoint(value)) }
            },
            path("tlsCertificate", \.tlsCertificate),
            path("tlsKey", \.tlsKey),
            path("tlsClientCa", \.tlsClientAuthorities),
            custom("adminListen", .value) { settings, values throws(SettingError) in
                settings.adminListen = try Endpoint(values.last ?? "")
            },
            custom("metricsListen", .value) { settings, values throws(SettingError) in
                settings.metricsListen = try Endpoint(values.last ?? "")
            },
            path("adminTokenFile", \.adminTokenFile),
            custom("externalUrl", .value) { settings, values throws(SettingError) in
                settings.externalURL = try externalURL(values.last ?? "")
            },
            choice("kubernetes", \.kubernetes),
            path("kubeconfig", \.kubeconfig),
            custom("catalog", .value) { settings, values throws(SettingError) in
                settings.catalog = try oneOf(values.last ?? "")
            },
            choice("receiverStatus", \.receiverStatus),
            toggle("noCrossNamespaceRefs", \.noCrossNamespaceRefs),
            custom("watchNamespace", .list) { settings, values throws(SettingError) in
                settings.watchNamespaces = values.filter { !$0.isEmpty }
            },
            choice("secretAccess", \.secretAccess),
            custom("secretSelector", .value) { settings, values throws(SettingError) in
                settings.secretSelector = try required(values.last ?? "", "a label selector such as team=platform")
            },
            custom("kubernetesContext", .value) { settings, values throws(SettingError) in
                settings.kubernetesContext = try required(values.last ?? "", "the name of a context of the kubeconfig")
            },
            custom("fluxNamespace", .value) { settings, values throws(SettingError) in
                settings.fluxNamespace = try required(values.last ?? "", "the namespace in which Flux runs")
            },
            toggle("observe", \.observes),
            custom("loops", .value) { settings, values throws(SettingError) in
                settings.loops = try integer(values.last ?? "", 1...256)
            },
            choice("io", \.io),
            choice("durability", \.durability),
            size("journalMaxBytes", \.journalBytesMax, (192 << 20)...(1 << 44)),
            duration("journalMaxAge", \.journalAgeNanosecondsMax, (60 * second)...(3_650 * 86_400 * second)),
            choice("journalBodies", \.journalBodies),
            number("journalNamespaceShare", \.journalNamespacePercent, 1...100),
            toggle("allowExec", \.allowExec),
            custom("dedupeWindowSeconds", .value) { settings, values throws(SettingError) in
                settings.dedupeWindowSeconds = UInt32(try integer(values.last ?? "", 0...(7 * 86_400)))
            },
            duration("pathGrace", \.pathGraceNanoseconds, 0...(30 * 86_400 * second)),
            duration("shutdownDelay", \.shutdownDelayNanoseconds, 0...(600 * second)),
            duration("shutdownGrace", \.shutdownGraceNanoseconds, 0...(600 * second)),
            duration("drainTimeout", \.drainTimeoutNanoseconds, 0...(7 * 86_400 * second)),
            choice("logLevel", \.logLevel),
            choice("logFormat", \.logFormat),
            number("metricsMaxRoutes", \.metricsRoutesMax, 0...1_000_000),
        ] + limits + actions

    private static let ceiling = RequestLimits.ceiling

    /// Bounds of a request and its connection; each upper bound is a hard ceiling.
    private static let limits: [Setting] = [
        size("maxBody", \.bodyBytesMax, 1...(1 << 30)),
        size("maxRequestLine", \.requestLimits.requestLineBytesMax, 256...ceiling.requestLineBytesMax),
        size("maxHeader", \.requestLimits.headBytesMax, 1_024...ceiling.headBytesMax),
        number("maxHeaderFields", \.requestLimits.fieldCountMax, 8...ceiling.fieldCountMax),
        size("maxTrailer", \.requestLimits.trailerBytesMax, 0...ceiling.trailerBytesMax),
        number("maxTrailerFields", \.requestLimits.trailerFieldsMax, 0...ceiling.trailerFieldsMax),
        size("maxChunkLine", \.requestLimits.chunkLineBytesMax, 18...ceiling.chunkLineBytesMax),
        size("maxChunkExtensions", \.requestLimits.chunkExtensionBytesMax, 0...ceiling.chunkExtensionBytesMax),
        size("maxChunkOverhead", \.requestLimits.chunkOverheadBytesMax, 0...ceiling.chunkOverheadBytesMax),
        size("bodyMemory", \.bodyMemoryBytesMax, (1 << 20)...(1 << 40)),
        duration("bodyMemoryWait", \.bodyMemoryWaitNanoseconds, 0...(60 * second)),
        duration("headerTimeout", \.headerTimeoutNanoseconds, (second / 10)...(60 * second)),
        duration("bodyTimeout", \.bodyTimeoutNanoseconds, (second / 10)...(3_600 * second)),
        duration("bodyStallTimeout", \.bodyStallTimeoutNanoseconds, (second / 10)...(600 * second)),
        number("bodyMinRate", \.bodyBytesPerSecondMin, 0...1_000_000_000),
        duration("tlsHandshakeTimeout", \.tlsHandshakeTimeoutNanoseconds, (second / 10)...(30 * second)),
        duration("idleTimeout", \.idleTimeoutNanoseconds, (second / 10)...(300 * second)),
        duration("busyIdleTimeout", \.busyIdleTimeoutNanoseconds, (second / 10)...(300 * second)),
        duration("responseTimeout", \.responseTimeoutNanoseconds, (second / 10)...(60 * second)),
        number("maxConnections", \.connectionsMax, 1...1_000_000),
        number("maxConnectionsPerSource", \.connectionsPerSourceMax, 1...1_000_000),
        number("maxRequestsPerConnection", \.requestsPerConnectionMax, 1...1_000_000_000),
        duration("maxConnectionAge", \.connectionAgeNanosecondsMax, second...(86_400 * second)),
        duration("lingerTimeout", \.lingerTimeoutNanoseconds, 0...(30 * second)),
        size("lingerBytes", \.lingerBytesMax, 0...(16 << 20)),
    ]

    /// What is carried out at once.
    private static let actions: [Setting] = [
        number("maxActions", \.actionsMax, 1...1_024),
        number("maxActionsPerCluster", \.actionsPerClusterMax, 1...1_024),
        number("maxActionsPerNamespace", \.actionsPerNamespaceMax, 1...1_024),
        number("maxActionsPerTarget", \.actionsPerTargetMax, 1...1_024),
        number("maxQueuedDeliveries", \.queuedDeliveriesMax, 100...10_000_000),
    ]

    private static let second = ServerSettings.second

    // - forms

    private static func custom(
        _ name: String, _ form: Setting.Form, isPath: Bool = false,
        _ apply: @escaping @Sendable (inout ServerSettings, [String]) throws(SettingError) -> Void
    ) -> Setting {
        Setting(name: name, form: form, isPath: isPath, apply: apply)
    }

    private static func required(_ text: String, _ what: String) throws(SettingError) -> String {
        if text.isEmpty { throw SettingError("is empty; give \(what)") }
        return text
    }

    private static func paths(_ name: String, _ path: Path<[String]>) -> Setting {
        custom(name, .list, isPath: true) { settings, values throws(SettingError) in
            if values.contains("") { throw SettingError("the name is empty") }
            settings[keyPath: path] = values
        }
    }

    private static func path(_ name: String, _ path: Path<String>) -> Setting {
        custom(name, .value, isPath: true) { settings, values throws(SettingError) in
            guard let value = values.last, !value.isEmpty else { throw SettingError("the name is empty") }
            settings[keyPath: path] = value
        }
    }

    private static func path(_ name: String, _ path: Path<String?>) -> Setting {
        custom(name, .value, isPath: true) { settings, values throws(SettingError) in
            guard let value = values.last, !value.isEmpty else { throw SettingError("the name is empty") }
            settings[keyPath: path] = value
        }
    }

    private static func choice<Value: CaseIterable & RawRepresentable & Sendable>(
        _ name: String, _ path: Path<Value>
    ) -> Setting where Value.RawValue == String {
        custom(name, .value) { settings, values throws(SettingError) in
            settings[keyPath: path] = try oneOf(values.last ?? "")
        }
    }

    private static func toggle(_ name: String, _ path: Path<Bool>) -> Setting {
        custom(name, .toggle) { settings, values throws(SettingError) in
            switch values.last?.lowercased() {
            case "true", "1", "yes", "on": settings[keyPath: path] = true
            case "false", "0", "no", "off", "": settings[keyPath: path] = false
            default: throw SettingError("must be true or false, found \(quoted(values.last ?? ""))")
            }
        }
    }

    private static func number(_ name: String, _ path: Path<Int>, _ range: ClosedRange<Int>) -> Setting {
        custom(name, .value) { settings, values throws(SettingError) in
            settings[keyPath: path] = try integer(values.last ?? "", range)
        }
    }

    private static func size(_ name: String, _ path: Path<Int>, _ range: ClosedRange<Int>) -> Setting {
        custom(name, .value) { settings, values throws(SettingError) in
            let text = values.last ?? ""
            let value: Int
            do { value = try Quantity.bytes(text) } catch { throw SettingError("\(quoted(text)) \(error)") }
            guard range.contains(value) else {
                let bounds = "\(Quantity.text(bytes: range.lowerBound)) to \(Quantity.text(bytes: range.upperBound))"
                throw SettingError("must be from \(bounds), found \(quoted(text))")
            }
            settings[keyPath: path] = value
        }
    }

    private static func duration(_ name: String, _ path: Path<UInt64>, _ range: ClosedRange<UInt64>) -> Setting {
        custom(name, .value) { settings, values throws(SettingError) in
            let text = values.last ?? ""
            let value: UInt64
            do { value = try Quantity.nanoseconds(text, allowDays: true) } catch {
                throw SettingError("\(quoted(text)) \(error)")
            }
            guard range.contains(value) else {
                let lower = Quantity.text(nanoseconds: range.lowerBound)
                throw SettingError(
                    "must be from \(lower) to \(Quantity.text(nanoseconds: range.upperBound)), found \(quoted(text))")
            }
            settings[keyPath: path] = value
        }
    }

    private static func integer(_ text: String, _ range: ClosedRange<Int>) throws(SettingError) -> Int {
        if let value = Int(text), range.contains(value) { return value }
        throw SettingError(
            "must be a whole number from \(range.lowerBound) to \(range.upperBound), found \(quoted(text))")
    }

    private static func oneOf<Value: CaseIterable & RawRepresentable>(
        _ text: String
    ) throws(SettingError) -> Value where Value.RawValue == String {
        if let value = Value(rawValue: text) { return value }
        let known = Value.allCases.map(\.rawValue)
        throw SettingError(
            "must be \(known.joined(separator: ", ")), found \(quoted(text))" + NearestName.hint(text, among: known))
    }

    /// http or https, a host, maybe a path; neither query nor credentials.
    private static func externalURL(_ text: String) throws(SettingError) -> String {
        if (try? HTTPURL(text)) == nil || text.contains("?") {
            throw SettingError("must be a URL such as https://hooks.example.org, without query and credentials")
        }
        var url = Substring(text)
        while url.hasSuffix("/") { url = url.dropLast() }
        return String(url)
    }
}
