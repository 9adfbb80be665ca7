// SettingsLoader: flags over GRAPNEL_* variables over the settings file over defaults, all problems reported at once.

import Catalog

struct SettingsLoader {
    /// What was given on the command line: a setting's name and its values.
    var flags: [(name: String, values: [String])]
    var environment: [String: String]
    /// Text and name of the settings file, already read; nil: there is none.
    var file: (name: String, bytes: [UInt8])?

    struct Loaded {
        var settings: ServerSettings
        /// Worth a line in the log, not a refusal.
        var warnings: [String]
    }

    private static let configVariable = "GRAPNEL_CONFIG"

    /// The name of the settings file by flag or variable.
    static func fileName(flag: String?, environment: [String: String]) -> String? {
        flag ?? environment[configVariable].flatMap { $0.isEmpty ? nil : $0 }
    }

    func load() throws(CommandFailure) -> Loaded {
        var settings = ServerSettings()
        var problems: [String] = []
        var warnings: [String] = []
        if let file { problems += readFile(file, into: &settings, &warnings) }
        readEnvironment(into: &settings, &problems, &warnings)
        for (name, values) in flags {
            guard let setting = SettingsTable.all.first(where: { $0.name == name }) else { continue }
            apply(setting, values, to: &settings, setting.flag, &problems)
        }
        problems += SettingsCheck.problems(settings)
        guard problems.isEmpty else { throw CommandFailure(.wrongInput, problems) }
        warnings += SettingsCheck.warnings(settings)
        return Loaded(settings: settings, warnings: warnings)
    }

    private func apply(
        _ setting: Setting, _ values: [String], to settings: inout ServerSettings, _ place: String,
        _ problems: inout [String]
    ) {
        do throws(SettingError) {
            try setting.apply(&settings, values)
        } catch {
            problems.append("\(place): \(error)")
        }
    }

    // - the environment

    /// Kubernetes gives every pod of a namespace with a Service named `grapnel` variables such as GRAPNEL_PORT and
    /// GRAPNEL_SERVICE_HOST, so an unknown one is no error; one that is nearly a setting's is worth a warning.
    private func readEnvironment(
        into settings: inout ServerSettings, _ problems: inout [String],
        _ warnings: inout [String]
    ) {
        let prefix = "GRAPNEL_"
        let known = (SettingsTable.all.map(\.variable) + [Self.configVariable]).map { $0.dropFirst(prefix.count) }
        for (variable, text) in environment.sorted(by: { $0.key < $1.key }) where variable.hasPrefix(prefix) {
            if let setting = SettingsTable.all.first(where: { $0.variable == variable }) {
                let values =
                    setting.form == .list
                    ? text.split(separator: ",").map { $0.trimmingBlanks }.filter { !$0.isEmpty } : [text]
                if text.isEmpty { continue }
                apply(setting, values, to: &settings, variable, &problems)
            } else if variable != Self.configVariable, !Self.isServiceVariable(variable),
                let near = NearestName.of(String(variable.dropFirst(prefix.count)), among: known.map(String.init))
            {
                warnings.append("\(variable) is no setting and is ignored; did you mean \(prefix)\(near)?")
            }
        }
    }

    private static func isServiceVariable(_ name: String) -> Bool {
        name.hasPrefix("GRAPNEL_PORT") || name.hasPrefix("GRAPNEL_SERVICE_")
    }

    // - the file

    private func readFile(
        _ file: (name: String, bytes: [UInt8]), into settings: inout ServerSettings, _ warnings: inout [String]
    ) -> [String] {
        let documents = YAMLReader.documents(of: file.bytes)
        guard let document = documents.first else { return [] }
        if documents.count > 1 {
            return ["\(file.name):\(documents[1].line): error: a settings file holds one document"]
        }
        let findings = YAMLFindings()
        switch document.content {
        case .failure(let problem):
            findings.error(problem.line, problem.message)
        case .success(let node):
            if var fields = YAMLFields(node, path: "", findings: findings) {
                read(&fields, of: file.name, into: &settings)
            }
        }
        warnings += findings.warnings.sorted { $0.line < $1.line }.map { "\(file.name):\($0.line): \($0.message)" }
        return findings.errors.sorted { $0.line < $1.line }.map { "\(file.name):\($0.line): error: \($0.message)" }
    }

    private func read(
        _ fields: inout YAMLFields, of file: String, into settings: inout ServerSettings
    ) {
        let resolve = { (path: String) in Self.resolve(path, besides: file) }
        for setting in SettingsTable.all {
            guard let found = fields.node(setting.name) else { continue }
            guard var values = Self.values(found.value, setting.form) else {
                let form =
                    switch setting.form {
                    case .list: "a list of texts"
                    case .toggle: "true or false"
                    case .value: "a single value"
                    }
                fields.findings.error(found.line, "\(setting.name) must be \(form), found \(found.value.word)")
                continue
            }
            if setting.isPath { values = values.map(resolve) }
            do throws(SettingError) {
                try setting.apply(&settings, values)
            } catch {
                fields.findings.error(found.line, "\(setting.name): \(error)")
            }
        }
        settings.systems.read(&fields, resolve: resolve)
        fields.finish()
    }

    /// The texts of a value, or nil when it has the wrong shape.
    private static func values(_ node: YAMLNode, _ form: Setting.Form) -> [String]? {
        switch (node.content, form) {
        case (.boolean(let value), .toggle): [value ? "true" : "false"]
        // `kubernetes: off` is a boolean to YAML; what was meant is the word.
        case (.boolean(let value), .value): [value ? "on" : "off"]
        case (.text(let text), .value), (.text(let text), .list): [text]
        case (.number(let text), .value), (.number(let text), .list): [text]
        case (.list(let items), .list):
            items.reduce(into: [String]?.some([])) { result, item in
                if let text = item.text { result?.append(text) } else { result = nil }
            }
        default: nil
        }
    }

    /// A relative name in the settings file is relative to it.
    private static func resolve(_ path: String, besides file: String) -> String {
        guard !path.isEmpty, !path.hasPrefix("/"), let slash = file.lastIndex(of: "/") else { return path }
        return file[...slash] + path
    }
}

extension Substring {
    fileprivate var trimmingBlanks: String {
        let isBlank = { (character: Character) in character == " " || character == "\t" }
        return String(self.drop(while: isBlank).reversed().drop(while: isBlank).reversed())
    }
}
