//! Tables that make a struct or an enum a [`Record`](crate::Record).

/// Makes a struct a record: its fields in the order given.
#[macro_export]
macro_rules! record {
    ($name:ident { $($field:ident),* $(,)? }) => {
        impl $crate::Record for $name {
            fn write(&self, out: &mut Vec<u8>) {
                let Self { $($field),* } = self;
                $( $crate::Record::write($field, out); )*
            }

            fn read(input: &mut &[u8]) -> Result<Self, $crate::BadRecord> {
                $( let $field = $crate::Record::read(input)?; )*
                Ok(Self { $($field),* })
            }
        }
    };
    ($name:ident ( $($item:ident),* $(,)? )) => {
        impl $crate::Record for $name {
            fn write(&self, out: &mut Vec<u8>) {
                let Self($($item),*) = self;
                $( $crate::Record::write($item, out); )*
            }

            fn read(input: &mut &[u8]) -> Result<Self, $crate::BadRecord> {
                $( let $item = $crate::Record::read(input)?; )*
                Ok(Self($($item),*))
            }
        }
    };
}

/// Makes an enum a record: a tag, then the variant's fields. Tags are never reused.
#[macro_export]
macro_rules! tagged {
    ($name:ident { $($tag:literal => $variant:ident $( { $($field:ident),* $(,)? } )? $( ( $($item:ident),* $(,)? ) )? ),* $(,)? }) => {
        impl $crate::Record for $name {
            fn write(&self, out: &mut Vec<u8>) {
                match self {
                    $( Self::$variant $( { $($field),* } )? $( ( $($item),* ) )? => {
                        out.push($tag);
                        $( $( $crate::Record::write($field, out); )* )?
                        $( $( $crate::Record::write($item, out); )* )?
                    } )*
                }
            }

            fn read(input: &mut &[u8]) -> Result<Self, $crate::BadRecord> {
                let tag = $crate::take(input, 1, stringify!($name))?[0];
                match tag {
                    $( $tag => {
                        $( $( let $field = $crate::Record::read(input)?; )* )?
                        $( $( let $item = $crate::Record::read(input)?; )* )?
                        Ok(Self::$variant $( { $($field),* } )? $( ( $($item),* ) )?)
                    } )*
                    tag => Err($crate::BadRecord::UnknownTag { of: stringify!($name), tag }),
                }
            }
        }
    };
}
