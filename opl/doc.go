// Package opl turns the Ory Permission Language, a subset of TypeScript, into a
// model: which namespaces there are, which relations tuples may state in them,
// and which permissions follow from those.
//
// Parse reads one source and knows the grammar only. Compile reads all sources
// of a model, resolves the names across them, and refuses a permission that
// depends on its own negation. Format prints a parsed source in the one
// canonical layout and keeps its comments. The package knows nothing of tuples,
// stores or the wire.
//
// # Grammar
//
// Space, line breaks and comments (// and /* */) may stand between any two
// tokens. A string is '...' or "..." on one line, without escapes. A comma in
// front of a closing parenthesis is always allowed and is left out here.
//
//	File       = { Import | Class | ";" } .
//	Import     = "import" { any token } string [ ";" ] .
//	Class      = [ "export" ] "class" Name "implements" "Namespace"
//	             "{" { Related | Permits | ";" } "}" .
//
//	Related    = "related" ":" "{" { Name ":" Type [ "," ] | ";" } "}" .
//	Type       = Elem "[" "]" | "(" Union ")" "[" "]" | "Array" "<" Union ">" .
//	Union      = [ "|" ] Elem { "|" Elem } .
//	Elem       = Name | "SubjectSet" "<" Name "," Name ">" .
//
//	Permits    = "permits" "=" "{" [ Permit { "," Permit } [ "," ] ] "}" .
//	Permit     = Name ":" "(" "ctx" [ ":" "Context" ] ")" [ ":" "boolean" ] "=>" Expr .
//	Expr       = Operand { "||" Operand } | Operand { "&&" Operand } .
//	Operand    = "!" Operand | "(" Expr ")" | "true" | "false" | Question .
//	Question   = Var "." "related" Prop "." "includes" "(" "ctx" "." "subject" ")"
//	           | Var "." "permits" Prop "(" "ctx" ")"
//	           | Var "." "related" Prop "." "traverse" "(" Param "=>" Expr ")" .
//	Param      = identifier | "(" identifier [ ":" Name { "|" Name } ] ")" .
//	Prop       = "." Name | "[" Name "]" .
//
//	Var        = "this", or inside a traverse the variable of that traverse .
//	Name       = identifier | string .
//	identifier = letter or "_" { letter or digit or "_" }, ASCII .
//
// The words class, implements, this and ctx are names only in quotes.
//
// Options.Precedence admits || and && side by side, and Options.Compat admits
// what else Ory Keto reads beyond this grammar; docs/opl.md lists it.
package opl
